//! Domains built in a machine that is a vector.

use super::Image;
use super::machine::Machine;
use guest_abi::addr::MachAddr;
use guest_abi::start_info::{StartFlags, StartInfo};
use guest_image::builder::{Builder, Ramdisk, StartState};
use guest_image::image::KernelImage;
use guest_image::layout::{Layout, LayoutRequest, Piece};
use zerocopy::FromBytes;

pub const NR_PAGES: u32 = 4096;

pub fn request() -> LayoutRequest<'static> {
    LayoutRequest {
        nr_pages: NR_PAGES,
        min_virt_base: 0,
        ramdisk_len: 0,
        modules: &[],
        ring_pages: 0,
    }
}

pub fn given() -> StartInfo {
    let mut info = StartInfo {
        shared_info: MachAddr::new(0x1_2345_6000),
        flags: StartFlags::PRIVILEGED.union(StartFlags::MODULE_LIST),
        ..StartInfo::default()
    };
    info.set_command_line(b"hello").unwrap();
    info
}

pub struct Built {
    pub machine: Machine,
    pub layout: Layout,
    pub start: StartState,
}

pub fn build(image: &Image, request: LayoutRequest<'_>, ramdisk: Ramdisk<'_>) -> Built {
    let bytes = image.bytes();
    let kernel = KernelImage::parse(&bytes).unwrap();
    let builder = Builder::plan(&kernel, request).unwrap();
    let mut machine = Machine::new(request.nr_pages);
    let start = builder.build(&mut machine, ramdisk, &given()).unwrap();
    Built {
        machine,
        layout: builder.layout().clone(),
        start,
    }
}

pub fn start_info(built: &Built) -> StartInfo {
    let at = built.layout.start_info.first.raw();
    StartInfo::read_from_prefix(built.machine.page(at)).unwrap().0
}

pub fn at(piece: Piece) -> u32 {
    piece.first.raw() * 4096
}
