//! Which modules are taken, and that each refusal names the module.

mod common;

use common::{IMAGE, INFO_AT, Loader, MIB, block, load, module, read_tags};
use hv_bootinfo::BootInfo;
use hv_bootinfo::error::{BootError as E, ModuleAt};
use hv_bootinfo::range::PhysRange;

/// What both protocols answer to the same loader.
fn both(loader: &Loader) -> [Result<BootInfo, E>; 2] {
    [loader.read1(), loader.read2()]
}

fn refuse(loader: &Loader) -> E {
    let [one, two] = both(loader).map(|result| result.expect_err("the boot information is bad"));
    assert_eq!(one, two);
    one
}

fn at(index: usize, start: u64, end: u64) -> ModuleAt {
    ModuleAt {
        index,
        range: PhysRange::new(start, end),
    }
}

fn with_modules(modules: Vec<(u32, u32, Vec<u8>)>) -> Loader {
    Loader {
        modules,
        ..Loader::sample()
    }
}

#[test]
fn a_kernel_is_needed() {
    assert_eq!(refuse(&with_modules(vec![])), E::NoKernel);
    let mut memory = Loader::sample().memory1();
    memory.set_info(0, 1 << 6);
    assert_eq!(memory.read().unwrap_err(), E::NoKernel);
}

#[test]
fn modules_must_make_sense() {
    let kernel = module(4 * MIB, 5000, "");
    let second = |m| refuse(&with_modules(vec![kernel.clone(), m]));
    let reversed = (5 * MIB as u32 + 1, 5 * MIB as u32, vec![]);
    assert_eq!(second(reversed), E::ModuleReversed(at(1, 5 * MIB + 1, 5 * MIB)));
    assert_eq!(
        second(module(5 * MIB + 8, 8, "")),
        E::ModuleUnaligned(at(1, 5 * MIB + 8, 5 * MIB + 16))
    );
    for (start, len) in [
        (127 * MIB - 4096, 4097),
        (127 * MIB, 1),
        (0x9_F000, 1),
        (0xA_0000, 1),
        (1 << 31, 1),
        (0xFFFF_F000, 0xFFF),
    ] {
        assert_eq!(
            second(module(start, len, "")),
            E::ModuleOutsideRam(at(1, start, start + len))
        );
    }
    for (start, len) in [(IMAGE.start, 1), (MIB, MIB + 1), (MIB, 4 * MIB), (3 * MIB, 1)] {
        assert_eq!(
            second(module(start, len, "")),
            E::ModuleOverlapsImage(at(1, start, start + len))
        );
    }
    for (start, len) in [(4 * MIB, 1), (4 * MIB + 4096, 1), (4 * MIB - 4096, 8192)] {
        let error = E::ModulesOverlap(at(0, 4 * MIB, 4 * MIB + 5000), at(1, start, start + len));
        assert_eq!(second(module(start, len, "")), error);
    }
    let beside = vec![
        kernel,
        module(4 * MIB + 8192, 1, ""),
        module(4 * MIB - 4096, 4096, ""),
    ];
    assert!(
        both(&with_modules(beside)).iter().all(Result::is_ok),
        "neighbours by whole pages"
    );
}

#[test]
fn the_images_first_page_is_not_shared_either() {
    let tags = block(&with_modules(vec![module(MIB, MIB + 1, "")]).tags());
    let block = load(&tags).unwrap();
    let read = |image_start| {
        BootInfo::new()
            .read_multiboot2(&block, INFO_AT, PhysRange::new(image_start, 3 * MIB))
            .is_ok()
    };
    assert!(!read(2 * MIB + 0x800));
    assert!(read(2 * MIB + 4096));
}

#[test]
fn a_module_in_the_first_mib_is_taken_but_marked() {
    let low = module(0x5_0000, 0x1000, "");
    let loader = with_modules(vec![low, module(4 * MIB, 1, ""), (0, 0, vec![])]);
    for info in both(&loader).map(Result::unwrap) {
        let marks: Vec<_> = info.modules().iter().map(|m| m.is_low()).collect();
        assert_eq!(marks, [true, false, false]);
    }
}

#[test]
fn an_empty_module_occupies_nothing() {
    let empty = (7, 7, b"empty".to_vec());
    let loader = with_modules(vec![module(4 * MIB, 1, ""), empty]);
    for info in both(&loader).map(Result::unwrap) {
        assert!(info.modules()[1].range.is_empty());
    }
}

#[test]
fn a_module_on_the_loaders_structures_is_refused() {
    let mut memory = Loader::sample().memory1();
    let info = memory.get(INFO_AT, 88).unwrap().to_vec();
    memory.put(4 * MIB + 4096, &info);
    let mut boot = BootInfo::new();
    let mut read = |at| boot.read_multiboot1(at, &|at, len| memory.get(at, len), IMAGE);
    assert_eq!(
        read(4 * MIB + 4096),
        Err(E::ModuleOverlapsInfo(at(0, 4 * MIB, 4 * MIB + 5000)))
    );

    let tags = block(&Loader::sample().tags());
    let block = load(&tags).unwrap();
    let mut read = |at| boot.read_multiboot2(&block, at, IMAGE);
    assert_eq!(
        read(4 * MIB),
        Err(E::ModuleOverlapsInfo(at(0, 4 * MIB, 4 * MIB + 5000)))
    );
    assert_eq!(
        read(4 * MIB + 5000),
        Ok(()),
        "the rest of a module's last page may hold them"
    );
}

#[test]
fn errors_name_the_module() {
    let line = E::ModuleUnaligned(at(0, 4 * MIB + 8, 5 * MIB)).to_string();
    assert_eq!(
        line,
        "boot module 0 (Domain0's kernel) at [0x400008, 0x500000) does not start on a page boundary"
    );
    let line = E::ModulesOverlap(at(1, 0, 1), at(5, 0, 1)).to_string();
    assert!(
        line.contains("boot module 1 (Domain0's ramdisk)") && line.contains("boot module 5 at"),
        "{line}"
    );
}

#[test]
fn a_module_tag_that_is_cut_short_is_refused() {
    for len in 0..8 {
        let mut tags = Loader::sample().tags();
        tags.push((3, vec![0; len]));
        assert_eq!(read_tags(&tags).unwrap_err(), E::Malformed { what: "module tag" });
    }
}
