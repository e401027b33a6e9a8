//! A vCPU as it travels: what a builder gives is checked like the calls that set the same things one by one.

use crate::{
    context::Context,
    error::HvError,
    fpu,
    hypercall::{cpu, traps},
    mm::{Mmu, Owner, Stop, check_ldt},
    platform::Platform,
    regs::UserRegs,
    segment::{SegmentLimits, check_code_selector},
    vcpu::{CodePointer, DataSegments, FpuState, Vcpu},
};
use arrayvec::ArrayVec;
use guest_abi::{
    addr::{GuestVirt, MachAddr, Mfn},
    segment::{DESCRIPTORS_PER_PAGE, MAX_GDT_ENTRIES, MAX_GDT_FRAMES, Selector},
    trap::TrapInfo,
    vcpu::{Callback, ContextFlags, CpuContext, GuestRegs, eflags},
};

/// Bits of EFLAGS that a kernel in ring 1 can change by itself: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC, ID.
const FREE_FLAGS: u32 = 0x0021_0000 | eflags::AC | eflags::TF | eflags::DF | 0x8D5;
/// Where an FXSAVE image has MXCSR, and the bits of it that exist on every processor with 64-bit mode.
const MXCSR: usize = 24;
const MXCSR_BITS: u32 = 0xFFFF;

/// Everything about a context that can be judged without looking at frames.
///
/// # Errors
/// [`HvError::Invalid`].
pub fn check(context: &CpuContext, limits: SegmentLimits) -> Result<(), HvError> {
    is_sound(context, limits).ok_or(HvError::Invalid)
}

fn is_sound(context: &CpuContext, limits: SegmentLimits) -> Option<()> {
    let all = |is_good: bool| is_good.then_some(());
    let regs = &context.regs;
    all(ContextFlags::all().contains(context.flags))?;
    let selectors = [
        regs.cs,
        regs.ss,
        regs.ds,
        regs.es,
        regs.fs,
        regs.gs,
        context.kernel_ss,
    ];
    all(selectors.iter().all(|selector| *selector <= 0xFFFF))?;
    all([regs.cs, regs.ss, context.kernel_ss]
        .iter()
        .all(|selector| selector & 3 != 0))?;
    all(regs.pad == 0 && regs.eflags & eflags::IF != 0)?;
    all(regs.eflags & !(FREE_FLAGS | eflags::IF | eflags::ALWAYS_ONE) == 0)?;
    all(!context.flags.contains(ContextFlags::FPU_VALID) || mxcsr(&context.fpu) & !MXCSR_BITS == 0)?;
    for gate in context.trap_table.iter().filter(|gate| gate.address != 0) {
        check_code_selector(gate.cs).ok()?;
    }
    for callback in [context.event_callback, context.failsafe_callback] {
        all(callback.pad == 0)?;
        check_code_selector(callback.cs).ok()?;
    }
    let fast = context.fast_trap_vector;
    traps::judged_fast_trap(fast, |vector| context.trap_table[usize::from(vector)]).ok()?;
    check_ldt(limits, context.ldt_base, context.ldt_entries).ok()?;
    all(context.gdt_entries <= MAX_GDT_ENTRIES)?;
    all(context.gdt_frames[gdt_pages(context)..]
        .iter()
        .all(|frame| frame.raw() == 0))?;
    all(context.pt_base.raw().is_multiple_of(4096))?;
    for (number, &value) in (0..).zip(&context.debug_regs) {
        match number {
            4 | 5 => all(value == 0)?,
            _ => drop(cpu::judged_debug_register(number, value).ok()?),
        }
    }
    Some(())
}

fn mxcsr(image: &[u8; 512]) -> u32 {
    u32::from_le_bytes([image[MXCSR], image[MXCSR + 1], image[MXCSR + 2], image[MXCSR + 3]])
}

fn gdt_pages(context: &CpuContext) -> usize {
    context.gdt_entries.div_ceil(DESCRIPTORS_PER_PAGE) as usize
}

/// Makes a context that was checked that of the domain in `slot`, which does not run. The pages of its GDT and its root
/// are taken first; what the domain held before is given back last.
///
/// # Errors
/// A frame that is not the domain's or not fit to be what it is to be: nothing changed. Or a pause: what is known to be
/// good by then stays known.
pub fn install<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize, context: &CpuContext) -> Result<(), Stop> {
    let owner = Owner::of(mmu.hv.domain_at(slot).ok_or(crate::mm::MmError::NoSuchDomain)?);
    let mut pages = ArrayVec::<Mfn, MAX_GDT_FRAMES>::new();
    let mut taken = Ok(());
    for frame in &context.gdt_frames[..gdt_pages(context)] {
        match mmu.take_descriptor_page(u64::from(frame.raw()), owner) {
            Ok(page) => pages.push(page),
            Err(stop) => {
                taken = Err(stop);
                break;
            }
        }
    }
    let root = taken.and_then(|()| mmu.take_root(context.pt_base.raw() >> 12, owner));
    let root = match root {
        Ok(root) => root,
        Err(stop) => {
            for page in pages {
                mmu.put_descriptor_page(page);
            }
            return Err(stop);
        }
    };
    let Some(domain) = mmu.hv.domain_at(slot) else {
        return Ok(());
    };
    let vcpu = &mut domain.vcpus[0];
    let old_pages = vcpu.gdt_frames.into_iter().chain(vcpu.ldt_frames);
    let old_root = vcpu.roots[0].replace(root);
    load(vcpu, context);
    vcpu.gdt_frames = [None; MAX_GDT_FRAMES];
    for (place, page) in vcpu.gdt_frames.iter_mut().zip(pages) {
        *place = Some(page);
    }
    vcpu.ldt_frames = [None; 16];
    for page in old_pages.flatten() {
        mmu.put_descriptor_page(page);
    }
    if let Some(old) = old_root {
        mmu.put_root(old);
    }
    Ok(())
}

/// Copies everything but what holds references.
fn load(vcpu: &mut Vcpu, context: &CpuContext) {
    let r = &context.regs;
    vcpu.regs = UserRegs {
        rbx: r.ebx.into(),
        rcx: r.ecx.into(),
        rdx: r.edx.into(),
        rsi: r.esi.into(),
        rdi: r.edi.into(),
        rbp: r.ebp.into(),
        rax: r.eax.into(),
        rip: r.eip.into(),
        cs: r.cs.into(),
        rflags: (r.eflags | eflags::ALWAYS_ONE).into(),
        rsp: r.esp.into(),
        ss: r.ss.into(),
        ..UserRegs::ZERO
    };
    vcpu.segments = DataSegments {
        ds: r.ds as u16,
        es: r.es as u16,
        fs: r.fs as u16,
        gs: r.gs as u16,
    };
    vcpu.fpu = if context.flags.contains(ContextFlags::FPU_VALID) {
        FpuState(context.fpu)
    } else {
        FpuState::CLEAN
    };
    vcpu.fpu_trap_armed = context.flags.contains(ContextFlags::TASK_SWITCHED);
    for ((vector, gate), given) in (0..=u8::MAX).zip(&mut vcpu.gates).zip(&context.trap_table) {
        *gate = TrapInfo { vector, ..*given };
    }
    // It was judged before.
    let gate = |vector| context.trap_table[usize::from(vector)];
    vcpu.fast_trap = traps::judged_fast_trap(context.fast_trap_vector, gate).unwrap_or(None);
    vcpu.kernel_ss = context.kernel_ss as u16;
    vcpu.kernel_esp = context.kernel_esp;
    traps::judge_fast_trap_stack(vcpu);
    vcpu.ldt_base = context.ldt_base.raw();
    vcpu.ldt_entries = context.ldt_entries;
    vcpu.gdt_entries = context.gdt_entries;
    vcpu.event_callback = code_pointer(context.event_callback);
    vcpu.failsafe_callback = code_pointer(context.failsafe_callback);
    for ((number, register), &value) in (0..).zip(&mut vcpu.debug_registers).zip(&context.debug_regs) {
        *register = cpu::judged_debug_register(number, value).unwrap_or(0);
    }
}

const fn code_pointer(callback: Callback) -> CodePointer {
    CodePointer {
        cs: callback.cs.raw(),
        eip: callback.eip,
    }
}

/// Brings the record of the vCPU that runs up to date.
pub fn save_current<P: Platform>(cx: &mut Context<'_, P>) {
    let (regs, platform) = (*cx.regs, cx.platform);
    let vcpu = cx.vcpu();
    vcpu.regs = regs;
    vcpu.segments = platform.data_segments();
    fpu::leave(platform, vcpu);
    platform.set_task_switched(vcpu.fpu_trap_armed);
}

/// The context of a vCPU whose record is up to date.
pub fn of(vcpu: &Vcpu) -> CpuContext {
    let r = &vcpu.regs;
    let mut context = CpuContext {
        flags: ContextFlags::FPU_VALID,
        regs: GuestRegs {
            ebx: r.rbx as u32,
            ecx: r.rcx as u32,
            edx: r.rdx as u32,
            esi: r.rsi as u32,
            edi: r.rdi as u32,
            ebp: r.rbp as u32,
            eax: r.rax as u32,
            pad: 0,
            eip: r.rip as u32,
            cs: u32::from(r.cs as u16),
            // What a guest cannot have, whatever is in the word.
            eflags: r.rflags as u32 & (FREE_FLAGS | eflags::IF | eflags::ALWAYS_ONE),
            esp: r.rsp as u32,
            ss: u32::from(r.ss as u16),
            es: vcpu.segments.es.into(),
            ds: vcpu.segments.ds.into(),
            fs: vcpu.segments.fs.into(),
            gs: vcpu.segments.gs.into(),
        },
        fpu: vcpu.fpu.0,
        trap_table: vcpu.gates,
        fast_trap_vector: vcpu.fast_trap.map_or(0, |trap| trap.vector.into()),
        ldt_base: GuestVirt::new(vcpu.ldt_base),
        ldt_entries: vcpu.ldt_entries,
        gdt_entries: vcpu.gdt_entries,
        kernel_ss: vcpu.kernel_ss.into(),
        kernel_esp: vcpu.kernel_esp,
        pt_base: vcpu.roots[0].map_or(MachAddr::new(0), Mfn::addr),
        debug_regs: vcpu.debug_registers,
        event_callback: callback(vcpu.event_callback),
        failsafe_callback: callback(vcpu.failsafe_callback),
        ..CpuContext::default()
    };
    context
        .flags
        .set(ContextFlags::TASK_SWITCHED, vcpu.fpu_trap_armed);
    for (vector, gate) in (0..=u8::MAX).zip(&mut context.trap_table) {
        gate.vector = vector;
    }
    for (place, page) in context.gdt_frames.iter_mut().zip(vcpu.gdt_frames) {
        *place = page.unwrap_or(Mfn::new(0));
    }
    context
}

const fn callback(pointer: CodePointer) -> Callback {
    Callback {
        cs: Selector::new(pointer.cs),
        pad: 0,
        eip: pointer.eip,
    }
}
