//! What a domain finds of the ramdisk and of further modules.

mod common;

use common::Image;
use common::domain::{NR_PAGES, at, build, given, request, start_info};
use common::machine::{Machine, OLD};
use guest_abi::module_list::ModuleList;
use guest_abi::start_info::StartFlags;
use guest_image::builder::{BuildError, Builder, Ramdisk};
use guest_image::image::KernelImage;
use guest_image::layout::{LayoutRequest, Module};

#[test]
fn the_module_list_begins_with_the_ramdisk() {
    let modules = [
        Module {
            len: 5000,
            cmd_line: b"net0 mac=1",
        },
        Module {
            len: 3,
            cmd_line: b"blk0",
        },
    ];
    let request = LayoutRequest {
        ramdisk_len: 7,
        modules: &modules,
        ..request()
    };
    let built = build(&Image::sample(), request, Ramdisk::Copy(b"ramdisk"));
    let (layout, machine) = (&built.layout, &built.machine);
    let info = start_info(&built);
    assert!(
        info.flags
            .contains(StartFlags::MODULE_LIST | StartFlags::PRIVILEGED)
    );
    assert_eq!(info.mod_start, layout.module_list.virt);
    let list = ModuleList::parse(machine.range(at(layout.module_list), info.mod_len as usize)).unwrap();
    let found: Vec<_> = list
        .iter()
        .map(|e| (e.pfn.raw(), e.virt.raw(), e.len, list.command_line(&e)))
        .collect();
    let after = layout.mapped_pages();
    assert_eq!(
        found,
        [
            (
                layout.ramdisk.first.raw(),
                layout.ramdisk.virt.raw(),
                7,
                Some(b"".as_slice())
            ),
            (after, 0, 5000, Some(b"net0 mac=1".as_slice())),
            (after + 2, 0, 3, Some(b"blk0".as_slice())),
        ]
    );
    let tail = (layout.mapped_pages() + 1) * 4096 + (5000 - 4096);
    assert_eq!(
        machine.range(tail - 1, 2),
        [OLD, 0],
        "a module's bytes stay, the rest of its last frame is zero"
    );
}

#[test]
fn a_list_without_a_ramdisk_says_so() {
    let modules = [Module {
        len: 1,
        cmd_line: b"",
    }];
    let built = build(
        &Image::sample(),
        LayoutRequest {
            modules: &modules,
            ..request()
        },
        Ramdisk::None,
    );
    let len = start_info(&built).mod_len as usize;
    let list = ModuleList::parse(built.machine.range(at(built.layout.module_list), len)).unwrap();
    let ramdisk = list.iter().next().unwrap();
    assert_eq!((ramdisk.virt.raw(), ramdisk.len), (0, 0));
    assert_eq!(list.iter().count(), 2);
}

#[test]
fn a_ramdisk_in_place_is_not_touched() {
    let bytes = Image::sample().bytes();
    let kernel = KernelImage::parse(&bytes).unwrap();
    let builder = Builder::plan(
        &kernel,
        LayoutRequest {
            ramdisk_len: 6,
            ..request()
        },
    )
    .unwrap();
    let mut machine = Machine::new(NR_PAGES);
    machine.put(builder.layout().ramdisk.first.raw(), b"initrdJUNK");
    builder.build(&mut machine, Ramdisk::InPlace, &given()).unwrap();
    assert_eq!(
        machine.range(at(builder.layout().ramdisk), 12),
        b"initrd\0\0\0\0\0\0"
    );
}

#[test]
fn a_ramdisk_of_another_length_is_refused_before_anything_is_written() {
    let bytes = Image::sample().bytes();
    let kernel = KernelImage::parse(&bytes).unwrap();
    let builder = Builder::plan(
        &kernel,
        LayoutRequest {
            ramdisk_len: 6,
            ..request()
        },
    )
    .unwrap();
    let mut machine = Machine::new(NR_PAGES);
    for (ramdisk, given_len) in [(Ramdisk::Copy(b"12345"), 5), (Ramdisk::None, 0)] {
        let error = builder.build(&mut machine, ramdisk, &given()).unwrap_err();
        assert_eq!(
            error,
            BuildError::RamdiskLength {
                planned: 6,
                given: given_len
            }
        );
    }
    assert!(
        machine
            .range(0, NR_PAGES as usize * 4096)
            .iter()
            .all(|&b| b == OLD)
    );
}
