/* The guest interface of xenlite. Generated from guest-abi by `cargo run -p c-header`; do not edit.
 *
 * What the structures and numbers mean is in guest-abi's documentation, under the same names.
 * Licence: MIT or Apache-2.0, as you like.
 */
#ifndef XENLITE_H
#define XENLITE_H

#include <stddef.h>
#include <stdint.h>

#pragma pack(push, 4)

/* ---- Calls ---- */

#define XL_HYPERCALL_VECTOR 130
#define XL_CALL_SET_TRAP_TABLE (0)
#define XL_CALL_MMU_UPDATE (1)
#define XL_CALL_SET_GDT (2)
#define XL_CALL_STACK_SWITCH (3)
#define XL_CALL_SET_CALLBACKS (4)
#define XL_CALL_FPU_TASKSWITCH (5)
#define XL_CALL_SCHED_OP (6)
#define XL_CALL_DOM0_OP (7)
#define XL_CALL_SET_DEBUGREG (8)
#define XL_CALL_GET_DEBUGREG (9)
#define XL_CALL_UPDATE_DESCRIPTOR (10)
#define XL_CALL_SET_FAST_TRAP (11)
#define XL_CALL_DOM_MEM_OP (12)
#define XL_CALL_MULTICALL (13)
#define XL_CALL_UPDATE_VA_MAPPING (14)
#define XL_CALL_SET_TIMER_OP (15)
#define XL_CALL_EVENT_CHANNEL_OP (16)
#define XL_CALL_XEN_VERSION (17)
#define XL_CALL_CONSOLE_IO (18)
#define XL_CALL_PHYSDEV_OP (19)
#define XL_CALL_GRANT_TABLE_OP (20)
#define XL_CALL_VM_ASSIST (21)
#define XL_CALL_UPDATE_VA_MAPPING_OTHERDOMAIN (22)
#define XL_E_PERM (1)
#define XL_E_SRCH (3)
#define XL_E_2BIG (7)
#define XL_E_AGAIN (11)
#define XL_E_NOMEM (12)
#define XL_E_ACCES (13)
#define XL_E_FAULT (14)
#define XL_E_BUSY (16)
#define XL_E_NODEV (19)
#define XL_E_INVAL (22)
#define XL_E_NOSPC (28)
#define XL_E_NOSYS (38)
#define XL_E_NODATA (61)

#if defined(__i386__) && defined(__GNUC__)
/* A call; an answer from -4095 to -1 is a negated XL_E number. The argument registers are lost, memory may change. */
static inline int32_t xl_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    __asm__ volatile("int $0x82"
                     : "+a"(number), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
                     :
                     : "memory", "cc");
    return (int32_t)number;
}
#endif

/* ---- Addresses and domains ---- */

#define XL_PAGE_SHIFT 12
#define XL_PAGE_SIZE 0x1000
#define XL_HV_START 0xfc000000
#define XL_INVALID_FRAME 0xffffffff
#define XL_DOMID_SELF 0x7ff0
#define XL_DOMID_IO 0x7ff1
#define XL_DOMID_XEN 0x7ff2

/* Mfn: 4 bytes */
typedef uint32_t xl_mfn_t;

/* Pfn: 4 bytes */
typedef uint32_t xl_pfn_t;

/* MachAddr: 8 bytes */
typedef uint64_t xl_mach_addr_t;

/* GuestVirt: 4 bytes */
typedef uint32_t xl_guest_virt_t;

/* DomId: 2 bytes */
typedef uint16_t xl_dom_id_t;

/* ---- multicall ---- */

#define XL_MULTICALL_RESULT_ARG 5

/* MulticallEntry: 32 bytes */
struct xl_multicall_entry {
    uint32_t op;
    uint32_t args[7];
};
_Static_assert(sizeof(struct xl_multicall_entry) == 32, "MulticallEntry");
_Static_assert(offsetof(struct xl_multicall_entry, op) == 0, "MulticallEntry");
_Static_assert(offsetof(struct xl_multicall_entry, args) == 4, "MulticallEntry");

/* ---- sched_op, xen_version, vm_assist, console_io ---- */

#define XL_SCHED_YIELD (0)
#define XL_SCHED_BLOCK (1)
#define XL_SCHED_SHUTDOWN (2)
#define XL_SHUTDOWN_POWEROFF (0)
#define XL_SHUTDOWN_REBOOT (1)
#define XL_SHUTDOWN_SUSPEND (2)
#define XL_SHUTDOWN_CRASH (3)
#define XL_VERDICT_SUCCESS (16)
#define XL_VERDICT_SKIP (17)
#define XL_VERDICT_ERROR (18)
#define XL_VERDICT_FAILURE (19)
#define XL_INTERFACE_VERSION 0x20000
#define XL_CONSOLE_MAX_WRITE 4095
#define XL_VERSION_VERSION (0)
#define XL_VERSION_EXTRAVERSION (1)
#define XL_VERSION_FEATURES (6)
#define XL_ASSIST_CMD_ENABLE (0)
#define XL_ASSIST_CMD_DISABLE (1)
#define XL_ASSIST_4GB_SEGMENTS (0)
#define XL_ASSIST_4GB_SEGMENTS_NOTIFY (1)
#define XL_ASSIST_WRITABLE_PAGETABLES (2)
#define XL_CONSOLE_WRITE (0)
#define XL_CONSOLE_READ (1)
#define XL_FEATURE_PAE_PGDIR_ABOVE_4GB 0x10u
#define XL_FEATURE_DOM0 0x800u
#define XL_FEATURE_GRANT_TABLES 0x1000000u
#define XL_FEATURE_WRITABLE_PAGE_TABLES 0x2000000u
#define XL_FEATURE_EXIT_ON_SHUTDOWN 0x4000000u

/* FeatureInfo: 8 bytes */
struct xl_feature_info {
    uint32_t submap_idx;
    uint32_t submap;
};
_Static_assert(sizeof(struct xl_feature_info) == 8, "FeatureInfo");
_Static_assert(offsetof(struct xl_feature_info, submap_idx) == 0, "FeatureInfo");
_Static_assert(offsetof(struct xl_feature_info, submap) == 4, "FeatureInfo");

/* ---- Segments ---- */

#define XL_FLAT_RING1_CS 0xe019
#define XL_FLAT_RING1_DS 0xe021
#define XL_FLAT_RING3_CS 0xe02b
#define XL_FLAT_RING3_DS 0xe033
#define XL_MAX_GDT_ENTRIES 0x1c00
#define XL_MAX_LDT_ENTRIES 0x2000
#define XL_DESC_CODE_OR_DATA 0x100000000000ull
#define XL_DESC_PRESENT 0x800000000000ull
#define XL_DESC_AVAILABLE 0x10000000000000ull
#define XL_DESC_LONG 0x20000000000000ull
#define XL_DESC_SIZE_32 0x40000000000000ull
#define XL_DESC_PAGES 0x80000000000000ull
#define XL_DESC_ORDINARY 0xc0900000000000ull

/* Selector: 2 bytes */
typedef uint16_t xl_selector_t;

/* Descriptor: 8 bytes */
typedef uint64_t xl_descriptor_t;

/* ---- Traps ---- */

#define XL_SYSCALL_VECTOR 128
#define XL_VECTOR_DE (0)
#define XL_VECTOR_DB (1)
#define XL_VECTOR_NMI (2)
#define XL_VECTOR_BP (3)
#define XL_VECTOR_OF (4)
#define XL_VECTOR_BR (5)
#define XL_VECTOR_UD (6)
#define XL_VECTOR_NM (7)
#define XL_VECTOR_DF (8)
#define XL_VECTOR_TS (10)
#define XL_VECTOR_NP (11)
#define XL_VECTOR_SS (12)
#define XL_VECTOR_GP (13)
#define XL_VECTOR_PF (14)
#define XL_VECTOR_MF (16)
#define XL_VECTOR_AC (17)
#define XL_VECTOR_MC (18)
#define XL_VECTOR_XM (19)
#define XL_TRAP_DPL_BIT0 0x1u
#define XL_TRAP_DPL_BIT1 0x2u
#define XL_TRAP_MASK_EVENTS 0x4u
#define XL_PF_PROTECTION 0x1u
#define XL_PF_WRITE 0x2u
#define XL_PF_USER 0x4u
#define XL_PF_RESERVED 0x8u
#define XL_PF_FETCH 0x10u

/* TrapInfo: 8 bytes */
struct xl_trap_info {
    uint8_t vector;
    uint8_t flags;
    xl_selector_t cs;
    uint32_t address;
};
_Static_assert(sizeof(struct xl_trap_info) == 8, "TrapInfo");
_Static_assert(offsetof(struct xl_trap_info, vector) == 0, "TrapInfo");
_Static_assert(offsetof(struct xl_trap_info, flags) == 1, "TrapInfo");
_Static_assert(offsetof(struct xl_trap_info, cs) == 2, "TrapInfo");
_Static_assert(offsetof(struct xl_trap_info, address) == 4, "TrapInfo");

/* IretFrame: 12 bytes */
struct xl_iret_frame {
    uint32_t eip;
    uint32_t cs;
    uint32_t eflags;
};
_Static_assert(sizeof(struct xl_iret_frame) == 12, "IretFrame");
_Static_assert(offsetof(struct xl_iret_frame, eip) == 0, "IretFrame");
_Static_assert(offsetof(struct xl_iret_frame, cs) == 4, "IretFrame");
_Static_assert(offsetof(struct xl_iret_frame, eflags) == 8, "IretFrame");

/* OuterWords: 8 bytes */
struct xl_outer_words {
    uint32_t esp;
    uint32_t ss;
};
_Static_assert(sizeof(struct xl_outer_words) == 8, "OuterWords");
_Static_assert(offsetof(struct xl_outer_words, esp) == 0, "OuterWords");
_Static_assert(offsetof(struct xl_outer_words, ss) == 4, "OuterWords");

/* PageFaultWords: 8 bytes */
struct xl_page_fault_words {
    uint32_t cr2;
    uint32_t error_code;
};
_Static_assert(sizeof(struct xl_page_fault_words) == 8, "PageFaultWords");
_Static_assert(offsetof(struct xl_page_fault_words, cr2) == 0, "PageFaultWords");
_Static_assert(offsetof(struct xl_page_fault_words, error_code) == 4, "PageFaultWords");

/* FailsafeWords: 16 bytes */
struct xl_failsafe_words {
    uint32_t ds;
    uint32_t es;
    uint32_t fs;
    uint32_t gs;
};
_Static_assert(sizeof(struct xl_failsafe_words) == 16, "FailsafeWords");
_Static_assert(offsetof(struct xl_failsafe_words, ds) == 0, "FailsafeWords");
_Static_assert(offsetof(struct xl_failsafe_words, es) == 4, "FailsafeWords");
_Static_assert(offsetof(struct xl_failsafe_words, fs) == 8, "FailsafeWords");
_Static_assert(offsetof(struct xl_failsafe_words, gs) == 12, "FailsafeWords");

/* ---- Contexts ---- */

#define XL_CONTEXT_FPU_VALID 0x1u
#define XL_CONTEXT_TASK_SWITCHED 0x2u

/* GuestRegs: 68 bytes */
struct xl_guest_regs {
    uint32_t ebx;
    uint32_t ecx;
    uint32_t edx;
    uint32_t esi;
    uint32_t edi;
    uint32_t ebp;
    uint32_t eax;
    uint8_t pad_at_28[4];
    uint32_t eip;
    uint32_t cs;
    uint32_t eflags;
    uint32_t esp;
    uint32_t ss;
    uint32_t es;
    uint32_t ds;
    uint32_t fs;
    uint32_t gs;
};
_Static_assert(sizeof(struct xl_guest_regs) == 68, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, ebx) == 0, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, ecx) == 4, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, edx) == 8, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, esi) == 12, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, edi) == 16, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, ebp) == 20, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, eax) == 24, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, eip) == 32, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, cs) == 36, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, eflags) == 40, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, esp) == 44, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, ss) == 48, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, es) == 52, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, ds) == 56, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, fs) == 60, "GuestRegs");
_Static_assert(offsetof(struct xl_guest_regs, gs) == 64, "GuestRegs");

/* Callback: 8 bytes */
struct xl_callback {
    xl_selector_t cs;
    uint16_t pad;
    uint32_t eip;
};
_Static_assert(sizeof(struct xl_callback) == 8, "Callback");
_Static_assert(offsetof(struct xl_callback, cs) == 0, "Callback");
_Static_assert(offsetof(struct xl_callback, pad) == 2, "Callback");
_Static_assert(offsetof(struct xl_callback, eip) == 4, "Callback");

/* CpuContext: 2768 bytes */
struct xl_cpu_context {
    uint32_t flags;
    struct xl_guest_regs regs;
    uint8_t fpu[512];
    struct xl_trap_info trap_table[256];
    uint32_t fast_trap_vector;
    xl_guest_virt_t ldt_base;
    uint32_t ldt_entries;
    xl_mfn_t gdt_frames[14];
    uint32_t gdt_entries;
    uint32_t kernel_ss;
    uint32_t kernel_esp;
    xl_mach_addr_t pt_base;
    uint32_t debug_regs[8];
    struct xl_callback event_callback;
    struct xl_callback failsafe_callback;
};
_Static_assert(sizeof(struct xl_cpu_context) == 2768, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, flags) == 0, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, regs) == 4, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, fpu) == 72, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, trap_table) == 584, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, fast_trap_vector) == 2632, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, ldt_base) == 2636, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, ldt_entries) == 2640, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, gdt_frames) == 2644, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, gdt_entries) == 2700, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, kernel_ss) == 2704, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, kernel_esp) == 2708, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, pt_base) == 2712, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, debug_regs) == 2720, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, event_callback) == 2752, "CpuContext");
_Static_assert(offsetof(struct xl_cpu_context, failsafe_callback) == 2760, "CpuContext");

/* ---- Page tables and memory ---- */

#define XL_MMU_NORMAL_PT_UPDATE (0)
#define XL_MMU_MACHPHYS_UPDATE (2)
#define XL_MMU_EXTENDED (3)
#define XL_MMUEXT_PIN_L1_TABLE (0)
#define XL_MMUEXT_PIN_L2_TABLE (1)
#define XL_MMUEXT_PIN_L3_TABLE (2)
#define XL_MMUEXT_PIN_L4_TABLE (3)
#define XL_MMUEXT_UNPIN_TABLE (4)
#define XL_MMUEXT_NEW_BASEPTR (5)
#define XL_MMUEXT_TLB_FLUSH (6)
#define XL_MMUEXT_INVLPG (7)
#define XL_MMUEXT_FLUSH_CACHE (8)
#define XL_MMUEXT_SET_LDT (9)
#define XL_MMUEXT_SET_FOREIGNDOM (10)
#define XL_MMUEXT_CLEAR_FOREIGNDOM (11)
#define XL_MMUEXT_TRANSFER_PAGE (12)
#define XL_MMUEXT_REASSIGN_PAGE (13)
#define XL_MEMORY_INCREASE_RESERVATION (0)
#define XL_MEMORY_DECREASE_RESERVATION (1)
#define XL_PTE_PRESENT 0x1ull
#define XL_PTE_WRITABLE 0x2ull
#define XL_PTE_USER 0x4ull
#define XL_PTE_WRITE_THROUGH 0x8ull
#define XL_PTE_NO_CACHE 0x10ull
#define XL_PTE_ACCESSED 0x20ull
#define XL_PTE_DIRTY 0x40ull
#define XL_PTE_PAT_OR_LARGE 0x80ull
#define XL_PTE_GLOBAL 0x100ull
#define XL_PTE_AVAILABLE 0xe00ull
#define XL_PTE_SOFTWARE 0x7f0000000000000ull
#define XL_PTE_HYPERVISOR 0x7800000000000000ull
#define XL_PTE_NO_EXECUTE 0x8000000000000000ull
#define XL_PTE_L1_ALLOWED 0x87f0000000000e67ull
#define XL_PTE_L2_ALLOWED 0x87f0000000000e67ull
#define XL_PTE_L3_ALLOWED 0x7f0000000000e67ull
#define XL_UVMF_FLUSH_TLB 0x1u
#define XL_UVMF_INVLPG 0x2u
#define XL_MAX_EXTENTS 0xfffffff
#define XL_MAX_ORDER 10

/* PteFlags: 8 bytes */
typedef uint64_t xl_pte_flags_t;

/* Pte: 8 bytes */
typedef uint64_t xl_pte_t;

/* MmuUpdate: 16 bytes */
struct xl_mmu_update {
    uint64_t ptr;
    uint64_t val;
};
_Static_assert(sizeof(struct xl_mmu_update) == 16, "MmuUpdate");
_Static_assert(offsetof(struct xl_mmu_update, ptr) == 0, "MmuUpdate");
_Static_assert(offsetof(struct xl_mmu_update, val) == 8, "MmuUpdate");

/* ---- Start of day ---- */

#define XL_CMD_LINE_BYTES 256
#define XL_MODULE_LIST_MAGIC 0x4c4d4c58
#define XL_START_EFLAGS 514
#define XL_NOTE_ABI_VERSION (1)
#define XL_NOTE_VIRT_BASE (2)
#define XL_NOTE_ENTRY (3)
#define XL_NOTE_FLAGS (4)
#define XL_NOTE_KERNEL_NAME (5)
#define XL_SIF_PRIVILEGED 0x1u
#define XL_SIF_INITIAL_DOMAIN 0x2u
#define XL_SIF_MODULE_LIST 0x4u
#define XL_SIF_BLOCK_BACKEND 0x10u
#define XL_SIF_NET_BACKEND 0x20u
#define XL_IMAGE_WRITABLE_PAGE_TABLES 0x1u
#define XL_IMAGE_UNPADDED 0x2u

/* StartInfo: 336 bytes */
struct xl_start_info {
    uint32_t nr_pages;
    uint8_t pad_at_4[4];
    xl_mach_addr_t shared_info;
    uint32_t flags;
    uint32_t pad1;
    xl_guest_virt_t pt_base;
    uint8_t pad_at_28[4];
    uint32_t nr_pt_frames;
    uint8_t pad_at_36[4];
    xl_guest_virt_t mfn_list;
    uint8_t pad_at_44[4];
    xl_guest_virt_t mod_start;
    uint8_t pad_at_52[4];
    uint32_t mod_len;
    uint8_t pad_at_60[4];
    uint8_t cmd_line[256];
    xl_mfn_t store_mfn;
    uint32_t store_evtchn;
    xl_mfn_t console_mfn;
    uint32_t console_evtchn;
};
_Static_assert(sizeof(struct xl_start_info) == 336, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, nr_pages) == 0, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, shared_info) == 8, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, flags) == 16, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, pad1) == 20, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, pt_base) == 24, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, nr_pt_frames) == 32, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, mfn_list) == 40, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, mod_start) == 48, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, mod_len) == 56, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, cmd_line) == 64, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, store_mfn) == 320, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, store_evtchn) == 324, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, console_mfn) == 328, "StartInfo");
_Static_assert(offsetof(struct xl_start_info, console_evtchn) == 332, "StartInfo");

/* ModuleListHeader: 8 bytes */
struct xl_module_list_header {
    uint32_t magic;
    uint32_t count;
};
_Static_assert(sizeof(struct xl_module_list_header) == 8, "ModuleListHeader");
_Static_assert(offsetof(struct xl_module_list_header, magic) == 0, "ModuleListHeader");
_Static_assert(offsetof(struct xl_module_list_header, count) == 4, "ModuleListHeader");

/* ModuleEntry: 24 bytes */
struct xl_module_entry {
    xl_pfn_t pfn;
    xl_guest_virt_t virt;
    uint64_t len;
    uint32_t cmdline_offset;
    uint32_t cmdline_len;
};
_Static_assert(sizeof(struct xl_module_entry) == 24, "ModuleEntry");
_Static_assert(offsetof(struct xl_module_entry, pfn) == 0, "ModuleEntry");
_Static_assert(offsetof(struct xl_module_entry, virt) == 4, "ModuleEntry");
_Static_assert(offsetof(struct xl_module_entry, len) == 8, "ModuleEntry");
_Static_assert(offsetof(struct xl_module_entry, cmdline_offset) == 16, "ModuleEntry");
_Static_assert(offsetof(struct xl_module_entry, cmdline_len) == 20, "ModuleEntry");

/* ---- The shared page ---- */

#define XL_EVENT_WORDS 32

/* TimeRecord: 40 bytes */
struct xl_time_record {
    uint64_t cpu_freq;
    uint32_t version1;
    uint32_t version2;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t wc_sec;
    uint32_t wc_usec;
};
_Static_assert(sizeof(struct xl_time_record) == 40, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, cpu_freq) == 0, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, version1) == 8, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, version2) == 12, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, tsc_timestamp) == 16, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, system_time) == 24, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, wc_sec) == 32, "TimeRecord");
_Static_assert(offsetof(struct xl_time_record, wc_usec) == 36, "TimeRecord");

/* ArchSharedInfo: 16 bytes */
struct xl_arch_shared_info {
    xl_mfn_t m2p_start;
    uint32_t m2p_frames;
    xl_mfn_t p2m_list_list;
    uint32_t max_pfn;
};
_Static_assert(sizeof(struct xl_arch_shared_info) == 16, "ArchSharedInfo");
_Static_assert(offsetof(struct xl_arch_shared_info, m2p_start) == 0, "ArchSharedInfo");
_Static_assert(offsetof(struct xl_arch_shared_info, m2p_frames) == 4, "ArchSharedInfo");
_Static_assert(offsetof(struct xl_arch_shared_info, p2m_list_list) == 8, "ArchSharedInfo");
_Static_assert(offsetof(struct xl_arch_shared_info, max_pfn) == 12, "ArchSharedInfo");

/* SharedInfo: 344 bytes */
struct xl_shared_info {
    uint8_t evtchn_upcall_pending;
    uint8_t evtchn_upcall_mask;
    uint8_t pad_at_2[2];
    uint32_t evtchn_pending[32];
    uint32_t evtchn_pending_sel;
    uint32_t evtchn_mask[32];
    struct xl_time_record time;
    uint64_t reserved[3];
    struct xl_arch_shared_info arch;
};
_Static_assert(sizeof(struct xl_shared_info) == 344, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, evtchn_upcall_pending) == 0, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, evtchn_upcall_mask) == 1, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, evtchn_pending) == 4, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, evtchn_pending_sel) == 132, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, evtchn_mask) == 136, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, time) == 264, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, reserved) == 304, "SharedInfo");
_Static_assert(offsetof(struct xl_shared_info, arch) == 328, "SharedInfo");

/* ---- event_channel_op ---- */

#define XL_MAX_PORTS 1024
#define XL_MAX_PIRQS 128
#define XL_PIRQ_WILL_SHARE 1
#define XL_EVTCHN_BIND_INTERDOMAIN (0)
#define XL_EVTCHN_BIND_VIRQ (1)
#define XL_EVTCHN_BIND_PIRQ (2)
#define XL_EVTCHN_CLOSE (3)
#define XL_EVTCHN_SEND (4)
#define XL_EVTCHN_STATUS (5)
#define XL_EVTCHN_ALLOC_UNBOUND (6)
#define XL_VIRQ_MISDIRECT (0)
#define XL_VIRQ_TIMER (1)
#define XL_VIRQ_DEBUG (2)
#define XL_VIRQ_CONSOLE (3)
#define XL_VIRQ_DOM_EXC (4)
#define XL_VIRQ_PARITY_ERR (5)
#define XL_VIRQ_IO_ERR (6)
#define XL_PORT_CLOSED (0)
#define XL_PORT_UNBOUND (1)
#define XL_PORT_INTERDOMAIN (2)
#define XL_PORT_PIRQ (3)
#define XL_PORT_VIRQ (4)

/* EvtchnOp: 32 bytes */
struct xl_evtchn_op {
    uint32_t cmd;
    uint32_t reserved;
    uint8_t u[24];
};
_Static_assert(sizeof(struct xl_evtchn_op) == 32, "EvtchnOp");
_Static_assert(offsetof(struct xl_evtchn_op, cmd) == 0, "EvtchnOp");
_Static_assert(offsetof(struct xl_evtchn_op, reserved) == 4, "EvtchnOp");
_Static_assert(offsetof(struct xl_evtchn_op, u) == 8, "EvtchnOp");

/* AllocUnbound: 8 bytes */
struct xl_evtchn_alloc_unbound {
    xl_dom_id_t dom;
    uint8_t pad_at_2[2];
    uint32_t port;
};
_Static_assert(sizeof(struct xl_evtchn_alloc_unbound) == 8, "AllocUnbound");
_Static_assert(offsetof(struct xl_evtchn_alloc_unbound, dom) == 0, "AllocUnbound");
_Static_assert(offsetof(struct xl_evtchn_alloc_unbound, port) == 4, "AllocUnbound");

/* BindInterdomain: 12 bytes */
struct xl_evtchn_bind_interdomain {
    xl_dom_id_t dom1;
    xl_dom_id_t dom2;
    uint32_t port1;
    uint32_t port2;
};
_Static_assert(sizeof(struct xl_evtchn_bind_interdomain) == 12, "BindInterdomain");
_Static_assert(offsetof(struct xl_evtchn_bind_interdomain, dom1) == 0, "BindInterdomain");
_Static_assert(offsetof(struct xl_evtchn_bind_interdomain, dom2) == 2, "BindInterdomain");
_Static_assert(offsetof(struct xl_evtchn_bind_interdomain, port1) == 4, "BindInterdomain");
_Static_assert(offsetof(struct xl_evtchn_bind_interdomain, port2) == 8, "BindInterdomain");

/* BindVirq: 8 bytes */
struct xl_evtchn_bind_virq {
    uint32_t virq;
    uint32_t port;
};
_Static_assert(sizeof(struct xl_evtchn_bind_virq) == 8, "BindVirq");
_Static_assert(offsetof(struct xl_evtchn_bind_virq, virq) == 0, "BindVirq");
_Static_assert(offsetof(struct xl_evtchn_bind_virq, port) == 4, "BindVirq");

/* BindPirq: 12 bytes */
struct xl_evtchn_bind_pirq {
    uint32_t pirq;
    uint32_t flags;
    uint32_t port;
};
_Static_assert(sizeof(struct xl_evtchn_bind_pirq) == 12, "BindPirq");
_Static_assert(offsetof(struct xl_evtchn_bind_pirq, pirq) == 0, "BindPirq");
_Static_assert(offsetof(struct xl_evtchn_bind_pirq, flags) == 4, "BindPirq");
_Static_assert(offsetof(struct xl_evtchn_bind_pirq, port) == 8, "BindPirq");

/* Close: 8 bytes */
struct xl_evtchn_close {
    xl_dom_id_t dom;
    uint8_t pad_at_2[2];
    uint32_t port;
};
_Static_assert(sizeof(struct xl_evtchn_close) == 8, "Close");
_Static_assert(offsetof(struct xl_evtchn_close, dom) == 0, "Close");
_Static_assert(offsetof(struct xl_evtchn_close, port) == 4, "Close");

/* Send: 4 bytes */
struct xl_evtchn_send {
    uint32_t local_port;
};
_Static_assert(sizeof(struct xl_evtchn_send) == 4, "Send");
_Static_assert(offsetof(struct xl_evtchn_send, local_port) == 0, "Send");

/* Status: 20 bytes */
struct xl_evtchn_status {
    xl_dom_id_t dom;
    uint8_t pad_at_2[2];
    uint32_t port;
    uint32_t state;
    uint32_t detail;
    uint32_t remote_port;
};
_Static_assert(sizeof(struct xl_evtchn_status) == 20, "Status");
_Static_assert(offsetof(struct xl_evtchn_status, dom) == 0, "Status");
_Static_assert(offsetof(struct xl_evtchn_status, port) == 4, "Status");
_Static_assert(offsetof(struct xl_evtchn_status, state) == 8, "Status");
_Static_assert(offsetof(struct xl_evtchn_status, detail) == 12, "Status");
_Static_assert(offsetof(struct xl_evtchn_status, remote_port) == 16, "Status");

/* ---- grant_table_op ---- */

#define XL_GRANTS_PER_FRAME 512
#define XL_GRANTS_RESERVED 8
#define XL_GNTTAB_MAP_GRANT_REF (0)
#define XL_GNTTAB_UNMAP_GRANT_REF (1)
#define XL_GNTTAB_SETUP_TABLE (2)
#define XL_GNTTAB_TRANSFER (4)
#define XL_GNTTAB_COPY (5)
#define XL_GNTTAB_QUERY_SIZE (6)
#define XL_GNTST_OKAY (0)
#define XL_GNTST_GENERAL_ERROR (-1)
#define XL_GNTST_BAD_DOMAIN (-2)
#define XL_GNTST_BAD_GNTREF (-3)
#define XL_GNTST_BAD_HANDLE (-4)
#define XL_GNTST_BAD_VIRT_ADDR (-5)
#define XL_GNTST_BAD_DEV_ADDR (-6)
#define XL_GNTST_NO_DEVICE_SPACE (-7)
#define XL_GNTST_PERMISSION_DENIED (-8)
#define XL_GNTST_BAD_PAGE (-9)
#define XL_GNTST_BAD_COPY_ARG (-10)
#define XL_GNTST_ADDRESS_TOO_BIG (-11)
#define XL_GNTST_EAGAIN (-12)
#define XL_GTF_PERMIT_ACCESS 0x1u
#define XL_GTF_ACCEPT_TRANSFER 0x2u
#define XL_GTF_READ_ONLY 0x4u
#define XL_GTF_READING 0x8u
#define XL_GTF_WRITING 0x10u
#define XL_GTF_TRANSFER_COMMITTED 0x4u
#define XL_GTF_TRANSFER_COMPLETED 0x8u
#define XL_GNTMAP_DEVICE_MAP 0x1u
#define XL_GNTMAP_HOST_MAP 0x2u
#define XL_GNTMAP_READ_ONLY 0x4u
#define XL_GNTMAP_APPLICATION_MAP 0x8u
#define XL_GNTMAP_CONTAINS_PTE 0x10u
#define XL_GNTMAP_GUEST_AVAILABLE 0x70000u
#define XL_GNTCOPY_SOURCE_GREF 0x1u
#define XL_GNTCOPY_DEST_GREF 0x2u

/* GrantEntry: 8 bytes */
struct xl_gnttab_grant_entry {
    uint16_t flags;
    xl_dom_id_t domid;
    xl_mfn_t frame;
};
_Static_assert(sizeof(struct xl_gnttab_grant_entry) == 8, "GrantEntry");
_Static_assert(offsetof(struct xl_gnttab_grant_entry, flags) == 0, "GrantEntry");
_Static_assert(offsetof(struct xl_gnttab_grant_entry, domid) == 2, "GrantEntry");
_Static_assert(offsetof(struct xl_gnttab_grant_entry, frame) == 4, "GrantEntry");

/* MapGrantRef: 32 bytes */
struct xl_gnttab_map_grant_ref {
    uint64_t host_addr;
    uint32_t flags;
    uint32_t reference;
    xl_dom_id_t dom;
    int16_t status;
    uint32_t handle;
    uint64_t dev_bus_addr;
};
_Static_assert(sizeof(struct xl_gnttab_map_grant_ref) == 32, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, host_addr) == 0, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, flags) == 8, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, reference) == 12, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, dom) == 16, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, status) == 18, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, handle) == 20, "MapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_map_grant_ref, dev_bus_addr) == 24, "MapGrantRef");

/* UnmapGrantRef: 24 bytes */
struct xl_gnttab_unmap_grant_ref {
    uint64_t host_addr;
    uint64_t dev_bus_addr;
    uint32_t handle;
    int16_t status;
    uint8_t pad_at_22[2];
};
_Static_assert(sizeof(struct xl_gnttab_unmap_grant_ref) == 24, "UnmapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_unmap_grant_ref, host_addr) == 0, "UnmapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_unmap_grant_ref, dev_bus_addr) == 8, "UnmapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_unmap_grant_ref, handle) == 16, "UnmapGrantRef");
_Static_assert(offsetof(struct xl_gnttab_unmap_grant_ref, status) == 20, "UnmapGrantRef");

/* SetupTable: 16 bytes */
struct xl_gnttab_setup_table {
    xl_dom_id_t dom;
    uint8_t pad_at_2[2];
    uint32_t nr_frames;
    int16_t status;
    uint8_t pad_at_10[2];
    xl_guest_virt_t frame_list;
};
_Static_assert(sizeof(struct xl_gnttab_setup_table) == 16, "SetupTable");
_Static_assert(offsetof(struct xl_gnttab_setup_table, dom) == 0, "SetupTable");
_Static_assert(offsetof(struct xl_gnttab_setup_table, nr_frames) == 4, "SetupTable");
_Static_assert(offsetof(struct xl_gnttab_setup_table, status) == 8, "SetupTable");
_Static_assert(offsetof(struct xl_gnttab_setup_table, frame_list) == 12, "SetupTable");

/* Transfer: 16 bytes */
struct xl_gnttab_transfer {
    xl_mfn_t mfn;
    xl_dom_id_t domid;
    uint8_t pad_at_6[2];
    uint32_t reference;
    int16_t status;
    uint8_t pad_at_14[2];
};
_Static_assert(sizeof(struct xl_gnttab_transfer) == 16, "Transfer");
_Static_assert(offsetof(struct xl_gnttab_transfer, mfn) == 0, "Transfer");
_Static_assert(offsetof(struct xl_gnttab_transfer, domid) == 4, "Transfer");
_Static_assert(offsetof(struct xl_gnttab_transfer, reference) == 8, "Transfer");
_Static_assert(offsetof(struct xl_gnttab_transfer, status) == 12, "Transfer");

/* CopyEnd: 8 bytes */
struct xl_gnttab_copy_end {
    uint32_t ref_or_frame;
    xl_dom_id_t domid;
    uint16_t offset;
};
_Static_assert(sizeof(struct xl_gnttab_copy_end) == 8, "CopyEnd");
_Static_assert(offsetof(struct xl_gnttab_copy_end, ref_or_frame) == 0, "CopyEnd");
_Static_assert(offsetof(struct xl_gnttab_copy_end, domid) == 4, "CopyEnd");
_Static_assert(offsetof(struct xl_gnttab_copy_end, offset) == 6, "CopyEnd");

/* GrantCopy: 24 bytes */
struct xl_gnttab_grant_copy {
    struct xl_gnttab_copy_end source;
    struct xl_gnttab_copy_end dest;
    uint16_t len;
    uint16_t flags;
    int16_t status;
    uint8_t pad_at_22[2];
};
_Static_assert(sizeof(struct xl_gnttab_grant_copy) == 24, "GrantCopy");
_Static_assert(offsetof(struct xl_gnttab_grant_copy, source) == 0, "GrantCopy");
_Static_assert(offsetof(struct xl_gnttab_grant_copy, dest) == 8, "GrantCopy");
_Static_assert(offsetof(struct xl_gnttab_grant_copy, len) == 16, "GrantCopy");
_Static_assert(offsetof(struct xl_gnttab_grant_copy, flags) == 18, "GrantCopy");
_Static_assert(offsetof(struct xl_gnttab_grant_copy, status) == 20, "GrantCopy");

/* QuerySize: 16 bytes */
struct xl_gnttab_query_size {
    xl_dom_id_t dom;
    uint8_t pad_at_2[2];
    uint32_t nr_frames;
    uint32_t max_nr_frames;
    int16_t status;
    uint8_t pad_at_14[2];
};
_Static_assert(sizeof(struct xl_gnttab_query_size) == 16, "QuerySize");
_Static_assert(offsetof(struct xl_gnttab_query_size, dom) == 0, "QuerySize");
_Static_assert(offsetof(struct xl_gnttab_query_size, nr_frames) == 4, "QuerySize");
_Static_assert(offsetof(struct xl_gnttab_query_size, max_nr_frames) == 8, "QuerySize");
_Static_assert(offsetof(struct xl_gnttab_query_size, status) == 12, "QuerySize");

/* ---- physdev_op ---- */

#define XL_IRQ_NEEDS_UNMASK_NOTIFY 1
#define XL_PHYSDEV_PCI_CFGREG_READ (0)
#define XL_PHYSDEV_PCI_CFGREG_WRITE (1)
#define XL_PHYSDEV_PCI_INITIALISE_DEVICE (2)
#define XL_PHYSDEV_PCI_PROBE_ROOT_BUSES (3)
#define XL_PHYSDEV_IRQ_UNMASK_NOTIFY (4)
#define XL_PHYSDEV_IRQ_STATUS_QUERY (5)

/* PhysdevOp: 40 bytes */
struct xl_physdev_op {
    uint32_t cmd;
    uint32_t pad;
    uint8_t u[32];
};
_Static_assert(sizeof(struct xl_physdev_op) == 40, "PhysdevOp");
_Static_assert(offsetof(struct xl_physdev_op, cmd) == 0, "PhysdevOp");
_Static_assert(offsetof(struct xl_physdev_op, pad) == 4, "PhysdevOp");
_Static_assert(offsetof(struct xl_physdev_op, u) == 8, "PhysdevOp");

/* PciConfigRead: 24 bytes */
struct xl_physdev_pci_config_read {
    uint32_t bus;
    uint32_t dev;
    uint32_t func;
    uint32_t reg;
    uint32_t len;
    uint32_t value;
};
_Static_assert(sizeof(struct xl_physdev_pci_config_read) == 24, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, bus) == 0, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, dev) == 4, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, func) == 8, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, reg) == 12, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, len) == 16, "PciConfigRead");
_Static_assert(offsetof(struct xl_physdev_pci_config_read, value) == 20, "PciConfigRead");

/* PciConfigWrite: 24 bytes */
struct xl_physdev_pci_config_write {
    uint32_t bus;
    uint32_t dev;
    uint32_t func;
    uint32_t reg;
    uint32_t len;
    uint32_t value;
};
_Static_assert(sizeof(struct xl_physdev_pci_config_write) == 24, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, bus) == 0, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, dev) == 4, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, func) == 8, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, reg) == 12, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, len) == 16, "PciConfigWrite");
_Static_assert(offsetof(struct xl_physdev_pci_config_write, value) == 20, "PciConfigWrite");

/* PciInitialiseDevice: 12 bytes */
struct xl_physdev_pci_initialise_device {
    uint32_t bus;
    uint32_t dev;
    uint32_t func;
};
_Static_assert(sizeof(struct xl_physdev_pci_initialise_device) == 12, "PciInitialiseDevice");
_Static_assert(offsetof(struct xl_physdev_pci_initialise_device, bus) == 0, "PciInitialiseDevice");
_Static_assert(offsetof(struct xl_physdev_pci_initialise_device, dev) == 4, "PciInitialiseDevice");
_Static_assert(offsetof(struct xl_physdev_pci_initialise_device, func) == 8, "PciInitialiseDevice");

/* PciProbeRootBuses: 32 bytes */

/* IrqUnmaskNotify: 0 bytes */

/* IrqStatusQuery: 8 bytes */
struct xl_physdev_irq_status_query {
    uint32_t irq;
    uint32_t flags;
};
_Static_assert(sizeof(struct xl_physdev_irq_status_query) == 8, "IrqStatusQuery");
_Static_assert(offsetof(struct xl_physdev_irq_status_query, irq) == 0, "IrqStatusQuery");
_Static_assert(offsetof(struct xl_physdev_irq_status_query, flags) == 4, "IrqStatusQuery");

/* ---- dom0_op ---- */

#define XL_DOM0_INTERFACE_VERSION 0xaaaa8001
#define XL_READCONSOLE_CLEAR 1
#define XL_DOM0_GETMEMLIST (2)
#define XL_DOM0_SCHEDCTL (6)
#define XL_DOM0_ADJUSTDOM (7)
#define XL_DOM0_CREATEDOMAIN (8)
#define XL_DOM0_DESTROYDOMAIN (9)
#define XL_DOM0_PAUSEDOMAIN (10)
#define XL_DOM0_UNPAUSEDOMAIN (11)
#define XL_DOM0_GETDOMAININFO (12)
#define XL_DOM0_BUILDDOMAIN (13)
#define XL_DOM0_IOPL (14)
#define XL_DOM0_MSR (15)
#define XL_DOM0_DEBUG (16)
#define XL_DOM0_SETTIME (17)
#define XL_DOM0_GETPAGEFRAMEINFO (18)
#define XL_DOM0_READCONSOLE (19)
#define XL_DOM0_PINCPUDOMAIN (20)
#define XL_DOM0_GETTBUFS (21)
#define XL_DOM0_PHYSINFO (22)
#define XL_DOM0_PCIDEV_ACCESS (23)
#define XL_DOM0_SCHED_ID (24)
#define XL_DOM0_SHADOW_CONTROL (25)
#define XL_DOM0_SETDOMAININITIALMEM (27)
#define XL_DOM0_SETDOMAINMAXMEM (28)
#define XL_DOM0_GETPAGEFRAMEINFO2 (29)
#define XL_DOM0_SETDOMAINVMASSIST (30)
#define XL_DOM0_ADD_MEMTYPE (31)
#define XL_DOM0_DEL_MEMTYPE (32)
#define XL_DOM0_READ_MEMTYPE (33)
#define XL_DOM0_PERFCCONTROL (34)
#define XL_DOM0_MICROCODE (35)
#define XL_DOM0_SETCONTEXT (36)
#define XL_DOM0_IOPORT_PERMISSION (37)
#define XL_DOM0_IOMEM_PERMISSION (38)
#define XL_DOM0_IRQ_PERMISSION (39)
#define XL_DOM0_GETCRASH (40)
#define XL_DOM0_PCIDEV_HOLDER (41)
#define XL_PERSONALITY_V2 (2)
#define XL_PERFC_RESET (1)
#define XL_PERFC_QUERY (2)
#define XL_CRASH_REQUESTED (0)
#define XL_CRASH_BAD_KERNEL_STACK (1)
#define XL_CRASH_NO_HANDLER (2)
#define XL_CRASH_NO_EVENT_CALLBACK (3)
#define XL_CRASH_FAILSAFE_FAILED (4)
#define XL_CRASH_UNHANDLED_VECTOR (5)
#define XL_SCHED_ID_BVT (0)
#define XL_SCHED_ID_RROBIN (3)
#define XL_SCHED_DIRECTION_PUT (0)
#define XL_SCHED_DIRECTION_GET (1)
#define XL_DOMF_DYING 0x1u
#define XL_DOMF_CRASHED 0x2u
#define XL_DOMF_SHUTDOWN 0x4u
#define XL_DOMF_PAUSED 0x8u
#define XL_DOMF_BLOCKED 0x10u
#define XL_DOMF_RUNNING 0x20u
#define XL_DOMF_CPU 0xff00u
#define XL_DOMF_REASON 0xff0000u

/* Dom0Op: 80 bytes */
struct xl_dom0_op {
    uint32_t cmd;
    uint32_t interface_version;
    uint8_t u[72];
};
_Static_assert(sizeof(struct xl_dom0_op) == 80, "Dom0Op");
_Static_assert(offsetof(struct xl_dom0_op, cmd) == 0, "Dom0Op");
_Static_assert(offsetof(struct xl_dom0_op, interface_version) == 4, "Dom0Op");
_Static_assert(offsetof(struct xl_dom0_op, u) == 8, "Dom0Op");

/* CreateDomain: 16 bytes */
struct xl_dom0_create_domain {
    uint64_t memory_kb;
    int32_t cpu;
    xl_dom_id_t domain;
    uint16_t personality;
};
_Static_assert(sizeof(struct xl_dom0_create_domain) == 16, "CreateDomain");
_Static_assert(offsetof(struct xl_dom0_create_domain, memory_kb) == 0, "CreateDomain");
_Static_assert(offsetof(struct xl_dom0_create_domain, cpu) == 8, "CreateDomain");
_Static_assert(offsetof(struct xl_dom0_create_domain, domain) == 12, "CreateDomain");
_Static_assert(offsetof(struct xl_dom0_create_domain, personality) == 14, "CreateDomain");

/* DestroyDomain: 4 bytes */
struct xl_dom0_destroy_domain {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
};
_Static_assert(sizeof(struct xl_dom0_destroy_domain) == 4, "DestroyDomain");
_Static_assert(offsetof(struct xl_dom0_destroy_domain, domain) == 0, "DestroyDomain");

/* PauseDomain: 4 bytes */
struct xl_dom0_pause_domain {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
};
_Static_assert(sizeof(struct xl_dom0_pause_domain) == 4, "PauseDomain");
_Static_assert(offsetof(struct xl_dom0_pause_domain, domain) == 0, "PauseDomain");

/* UnpauseDomain: 4 bytes */
struct xl_dom0_unpause_domain {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
};
_Static_assert(sizeof(struct xl_dom0_unpause_domain) == 4, "UnpauseDomain");
_Static_assert(offsetof(struct xl_dom0_unpause_domain, domain) == 0, "UnpauseDomain");

/* BuildDomain: 8 bytes */
struct xl_dom0_build_domain {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    xl_guest_virt_t ctxt;
};
_Static_assert(sizeof(struct xl_dom0_build_domain) == 8, "BuildDomain");
_Static_assert(offsetof(struct xl_dom0_build_domain, domain) == 0, "BuildDomain");
_Static_assert(offsetof(struct xl_dom0_build_domain, ctxt) == 4, "BuildDomain");

/* SetContext: 8 bytes */
struct xl_dom0_set_context {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    xl_guest_virt_t ctxt;
};
_Static_assert(sizeof(struct xl_dom0_set_context) == 8, "SetContext");
_Static_assert(offsetof(struct xl_dom0_set_context, domain) == 0, "SetContext");
_Static_assert(offsetof(struct xl_dom0_set_context, ctxt) == 4, "SetContext");

/* GetDomainInfo: 32 bytes */
struct xl_dom0_get_domain_info {
    xl_dom_id_t domain;
    uint16_t personality;
    uint32_t flags;
    xl_guest_virt_t ctxt;
    uint32_t tot_pages;
    uint32_t max_pages;
    xl_mfn_t shared_info_frame;
    uint64_t cpu_time;
};
_Static_assert(sizeof(struct xl_dom0_get_domain_info) == 32, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, domain) == 0, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, personality) == 2, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, flags) == 4, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, ctxt) == 8, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, tot_pages) == 12, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, max_pages) == 16, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, shared_info_frame) == 20, "GetDomainInfo");
_Static_assert(offsetof(struct xl_dom0_get_domain_info, cpu_time) == 24, "GetDomainInfo");

/* SetDomainVmAssist: 12 bytes */
struct xl_dom0_set_domain_vm_assist {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    uint32_t cmd;
    uint32_t kind;
};
_Static_assert(sizeof(struct xl_dom0_set_domain_vm_assist) == 12, "SetDomainVmAssist");
_Static_assert(offsetof(struct xl_dom0_set_domain_vm_assist, domain) == 0, "SetDomainVmAssist");
_Static_assert(offsetof(struct xl_dom0_set_domain_vm_assist, cmd) == 4, "SetDomainVmAssist");
_Static_assert(offsetof(struct xl_dom0_set_domain_vm_assist, kind) == 8, "SetDomainVmAssist");

/* GetMemList: 20 bytes */
struct xl_dom0_get_mem_list {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    uint32_t first;
    uint32_t max_pfns;
    xl_guest_virt_t buffer;
    uint32_t num_pfns;
};
_Static_assert(sizeof(struct xl_dom0_get_mem_list) == 20, "GetMemList");
_Static_assert(offsetof(struct xl_dom0_get_mem_list, domain) == 0, "GetMemList");
_Static_assert(offsetof(struct xl_dom0_get_mem_list, first) == 4, "GetMemList");
_Static_assert(offsetof(struct xl_dom0_get_mem_list, max_pfns) == 8, "GetMemList");
_Static_assert(offsetof(struct xl_dom0_get_mem_list, buffer) == 12, "GetMemList");
_Static_assert(offsetof(struct xl_dom0_get_mem_list, num_pfns) == 16, "GetMemList");

/* SetDomainInitialMem: 16 bytes */
struct xl_dom0_set_domain_initial_mem {
    xl_dom_id_t domain;
    uint8_t pad_at_2[6];
    uint64_t initial_memkb;
};
_Static_assert(sizeof(struct xl_dom0_set_domain_initial_mem) == 16, "SetDomainInitialMem");
_Static_assert(offsetof(struct xl_dom0_set_domain_initial_mem, domain) == 0, "SetDomainInitialMem");
_Static_assert(offsetof(struct xl_dom0_set_domain_initial_mem, initial_memkb) == 8, "SetDomainInitialMem");

/* SetDomainMaxMem: 16 bytes */
struct xl_dom0_set_domain_max_mem {
    xl_dom_id_t domain;
    uint8_t pad_at_2[6];
    uint64_t max_memkb;
};
_Static_assert(sizeof(struct xl_dom0_set_domain_max_mem) == 16, "SetDomainMaxMem");
_Static_assert(offsetof(struct xl_dom0_set_domain_max_mem, domain) == 0, "SetDomainMaxMem");
_Static_assert(offsetof(struct xl_dom0_set_domain_max_mem, max_memkb) == 8, "SetDomainMaxMem");

/* GetPageFrameInfo: 12 bytes */
struct xl_dom0_get_page_frame_info {
    xl_mfn_t frame;
    xl_dom_id_t domain;
    uint8_t pad_at_6[2];
    uint32_t info;
};
_Static_assert(sizeof(struct xl_dom0_get_page_frame_info) == 12, "GetPageFrameInfo");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info, frame) == 0, "GetPageFrameInfo");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info, domain) == 4, "GetPageFrameInfo");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info, info) == 8, "GetPageFrameInfo");

/* GetPageFrameInfo2: 12 bytes */
struct xl_dom0_get_page_frame_info2 {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    uint32_t num;
    xl_guest_virt_t array;
};
_Static_assert(sizeof(struct xl_dom0_get_page_frame_info2) == 12, "GetPageFrameInfo2");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info2, domain) == 0, "GetPageFrameInfo2");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info2, num) == 4, "GetPageFrameInfo2");
_Static_assert(offsetof(struct xl_dom0_get_page_frame_info2, array) == 8, "GetPageFrameInfo2");

/* SchedCtl: 16 bytes */
struct xl_dom0_sched_ctl {
    uint32_t sched_id;
    uint32_t direction;
    uint64_t slice_ns;
};
_Static_assert(sizeof(struct xl_dom0_sched_ctl) == 16, "SchedCtl");
_Static_assert(offsetof(struct xl_dom0_sched_ctl, sched_id) == 0, "SchedCtl");
_Static_assert(offsetof(struct xl_dom0_sched_ctl, direction) == 4, "SchedCtl");
_Static_assert(offsetof(struct xl_dom0_sched_ctl, slice_ns) == 8, "SchedCtl");

/* AdjustDom: 40 bytes */
struct xl_dom0_adjust_dom {
    uint32_t sched_id;
    uint32_t direction;
    xl_dom_id_t domain;
    uint8_t pad_at_10[2];
    uint32_t mcu_advance;
    uint32_t warpback;
    int32_t warpvalue;
    uint64_t warpl_ns;
    uint64_t warpu_ns;
};
_Static_assert(sizeof(struct xl_dom0_adjust_dom) == 40, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, sched_id) == 0, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, direction) == 4, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, domain) == 8, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, mcu_advance) == 12, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, warpback) == 16, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, warpvalue) == 20, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, warpl_ns) == 24, "AdjustDom");
_Static_assert(offsetof(struct xl_dom0_adjust_dom, warpu_ns) == 32, "AdjustDom");

/* GetSchedId: 4 bytes */
struct xl_dom0_get_sched_id {
    uint32_t sched_id;
};
_Static_assert(sizeof(struct xl_dom0_get_sched_id) == 4, "GetSchedId");
_Static_assert(offsetof(struct xl_dom0_get_sched_id, sched_id) == 0, "GetSchedId");

/* PinCpuDomain: 8 bytes */
struct xl_dom0_pin_cpu_domain {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    int32_t cpu;
};
_Static_assert(sizeof(struct xl_dom0_pin_cpu_domain) == 8, "PinCpuDomain");
_Static_assert(offsetof(struct xl_dom0_pin_cpu_domain, domain) == 0, "PinCpuDomain");
_Static_assert(offsetof(struct xl_dom0_pin_cpu_domain, cpu) == 4, "PinCpuDomain");

/* Msr: 24 bytes */
struct xl_dom0_msr {
    uint32_t write;
    uint32_t cpu_mask;
    uint32_t msr;
    uint8_t pad_at_12[4];
    uint64_t value;
};
_Static_assert(sizeof(struct xl_dom0_msr) == 24, "Msr");
_Static_assert(offsetof(struct xl_dom0_msr, write) == 0, "Msr");
_Static_assert(offsetof(struct xl_dom0_msr, cpu_mask) == 4, "Msr");
_Static_assert(offsetof(struct xl_dom0_msr, msr) == 8, "Msr");
_Static_assert(offsetof(struct xl_dom0_msr, value) == 16, "Msr");

/* SetTime: 16 bytes */
struct xl_dom0_set_time {
    uint32_t secs;
    uint32_t usecs;
    uint64_t system_time;
};
_Static_assert(sizeof(struct xl_dom0_set_time) == 16, "SetTime");
_Static_assert(offsetof(struct xl_dom0_set_time, secs) == 0, "SetTime");
_Static_assert(offsetof(struct xl_dom0_set_time, usecs) == 4, "SetTime");
_Static_assert(offsetof(struct xl_dom0_set_time, system_time) == 8, "SetTime");

/* ReadConsole: 12 bytes */
struct xl_dom0_read_console {
    xl_guest_virt_t buffer;
    uint32_t count;
    uint32_t flags;
};
_Static_assert(sizeof(struct xl_dom0_read_console) == 12, "ReadConsole");
_Static_assert(offsetof(struct xl_dom0_read_console, buffer) == 0, "ReadConsole");
_Static_assert(offsetof(struct xl_dom0_read_console, count) == 4, "ReadConsole");
_Static_assert(offsetof(struct xl_dom0_read_console, flags) == 8, "ReadConsole");

/* GetTbufs: 8 bytes */
struct xl_dom0_get_tbufs {
    xl_mfn_t frame;
    uint32_t size;
};
_Static_assert(sizeof(struct xl_dom0_get_tbufs) == 8, "GetTbufs");
_Static_assert(offsetof(struct xl_dom0_get_tbufs, frame) == 0, "GetTbufs");
_Static_assert(offsetof(struct xl_dom0_get_tbufs, size) == 4, "GetTbufs");

/* PhysInfo: 32 bytes */
struct xl_dom0_phys_info {
    uint32_t threads_per_core;
    uint32_t cores;
    uint32_t cpu_khz;
    uint32_t max_frame;
    uint32_t total_pages;
    uint32_t free_pages;
    uint32_t hypervisor_pages;
    uint8_t pad_at_28[4];
};
_Static_assert(sizeof(struct xl_dom0_phys_info) == 32, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, threads_per_core) == 0, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, cores) == 4, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, cpu_khz) == 8, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, max_frame) == 12, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, total_pages) == 16, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, free_pages) == 20, "PhysInfo");
_Static_assert(offsetof(struct xl_dom0_phys_info, hypervisor_pages) == 24, "PhysInfo");

/* AddMemType: 12 bytes */
struct xl_dom0_add_mem_type {
    xl_mfn_t frame;
    uint32_t nr_frames;
    uint32_t kind;
};
_Static_assert(sizeof(struct xl_dom0_add_mem_type) == 12, "AddMemType");
_Static_assert(offsetof(struct xl_dom0_add_mem_type, frame) == 0, "AddMemType");
_Static_assert(offsetof(struct xl_dom0_add_mem_type, nr_frames) == 4, "AddMemType");
_Static_assert(offsetof(struct xl_dom0_add_mem_type, kind) == 8, "AddMemType");

/* DelMemType: 4 bytes */
struct xl_dom0_del_mem_type {
    uint32_t reg;
};
_Static_assert(sizeof(struct xl_dom0_del_mem_type) == 4, "DelMemType");
_Static_assert(offsetof(struct xl_dom0_del_mem_type, reg) == 0, "DelMemType");

/* ReadMemType: 16 bytes */
struct xl_dom0_read_mem_type {
    uint32_t reg;
    xl_mfn_t frame;
    uint32_t nr_frames;
    uint32_t kind;
};
_Static_assert(sizeof(struct xl_dom0_read_mem_type) == 16, "ReadMemType");
_Static_assert(offsetof(struct xl_dom0_read_mem_type, reg) == 0, "ReadMemType");
_Static_assert(offsetof(struct xl_dom0_read_mem_type, frame) == 4, "ReadMemType");
_Static_assert(offsetof(struct xl_dom0_read_mem_type, nr_frames) == 8, "ReadMemType");
_Static_assert(offsetof(struct xl_dom0_read_mem_type, kind) == 12, "ReadMemType");

/* PerfcControl: 12 bytes */
struct xl_dom0_perfc_control {
    uint32_t op;
    uint32_t nr_counters;
    xl_guest_virt_t desc;
};
_Static_assert(sizeof(struct xl_dom0_perfc_control) == 12, "PerfcControl");
_Static_assert(offsetof(struct xl_dom0_perfc_control, op) == 0, "PerfcControl");
_Static_assert(offsetof(struct xl_dom0_perfc_control, nr_counters) == 4, "PerfcControl");
_Static_assert(offsetof(struct xl_dom0_perfc_control, desc) == 8, "PerfcControl");

/* PerfcDesc: 340 bytes */
struct xl_dom0_perfc_desc {
    uint8_t name[80];
    uint32_t nr_vals;
    uint32_t vals[64];
};
_Static_assert(sizeof(struct xl_dom0_perfc_desc) == 340, "PerfcDesc");
_Static_assert(offsetof(struct xl_dom0_perfc_desc, name) == 0, "PerfcDesc");
_Static_assert(offsetof(struct xl_dom0_perfc_desc, nr_vals) == 80, "PerfcDesc");
_Static_assert(offsetof(struct xl_dom0_perfc_desc, vals) == 84, "PerfcDesc");

/* PciDevAccess: 20 bytes */
struct xl_dom0_pci_dev_access {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    uint32_t bus;
    uint32_t dev;
    uint32_t func;
    uint32_t allow;
};
_Static_assert(sizeof(struct xl_dom0_pci_dev_access) == 20, "PciDevAccess");
_Static_assert(offsetof(struct xl_dom0_pci_dev_access, domain) == 0, "PciDevAccess");
_Static_assert(offsetof(struct xl_dom0_pci_dev_access, bus) == 4, "PciDevAccess");
_Static_assert(offsetof(struct xl_dom0_pci_dev_access, dev) == 8, "PciDevAccess");
_Static_assert(offsetof(struct xl_dom0_pci_dev_access, func) == 12, "PciDevAccess");
_Static_assert(offsetof(struct xl_dom0_pci_dev_access, allow) == 16, "PciDevAccess");

/* PciDevHolder: 16 bytes */
struct xl_dom0_pci_dev_holder {
    uint32_t bus;
    uint32_t dev;
    uint32_t func;
    xl_dom_id_t domain;
    uint16_t has_dma;
};
_Static_assert(sizeof(struct xl_dom0_pci_dev_holder) == 16, "PciDevHolder");
_Static_assert(offsetof(struct xl_dom0_pci_dev_holder, bus) == 0, "PciDevHolder");
_Static_assert(offsetof(struct xl_dom0_pci_dev_holder, dev) == 4, "PciDevHolder");
_Static_assert(offsetof(struct xl_dom0_pci_dev_holder, func) == 8, "PciDevHolder");
_Static_assert(offsetof(struct xl_dom0_pci_dev_holder, domain) == 12, "PciDevHolder");
_Static_assert(offsetof(struct xl_dom0_pci_dev_holder, has_dma) == 14, "PciDevHolder");

/* IoPortPermission: 12 bytes */
struct xl_dom0_io_port_permission {
    xl_dom_id_t domain;
    uint8_t allow;
    uint8_t pad_at_3[1];
    uint32_t first_port;
    uint32_t nr_ports;
};
_Static_assert(sizeof(struct xl_dom0_io_port_permission) == 12, "IoPortPermission");
_Static_assert(offsetof(struct xl_dom0_io_port_permission, domain) == 0, "IoPortPermission");
_Static_assert(offsetof(struct xl_dom0_io_port_permission, allow) == 2, "IoPortPermission");
_Static_assert(offsetof(struct xl_dom0_io_port_permission, first_port) == 4, "IoPortPermission");
_Static_assert(offsetof(struct xl_dom0_io_port_permission, nr_ports) == 8, "IoPortPermission");

/* IoMemPermission: 12 bytes */
struct xl_dom0_io_mem_permission {
    xl_dom_id_t domain;
    uint8_t allow;
    uint8_t pad_at_3[1];
    xl_mfn_t first_frame;
    uint32_t nr_frames;
};
_Static_assert(sizeof(struct xl_dom0_io_mem_permission) == 12, "IoMemPermission");
_Static_assert(offsetof(struct xl_dom0_io_mem_permission, domain) == 0, "IoMemPermission");
_Static_assert(offsetof(struct xl_dom0_io_mem_permission, allow) == 2, "IoMemPermission");
_Static_assert(offsetof(struct xl_dom0_io_mem_permission, first_frame) == 4, "IoMemPermission");
_Static_assert(offsetof(struct xl_dom0_io_mem_permission, nr_frames) == 8, "IoMemPermission");

/* IrqPermission: 8 bytes */
struct xl_dom0_irq_permission {
    xl_dom_id_t domain;
    uint8_t allow;
    uint8_t pad_at_3[1];
    uint32_t irq;
};
_Static_assert(sizeof(struct xl_dom0_irq_permission) == 8, "IrqPermission");
_Static_assert(offsetof(struct xl_dom0_irq_permission, domain) == 0, "IrqPermission");
_Static_assert(offsetof(struct xl_dom0_irq_permission, allow) == 2, "IrqPermission");
_Static_assert(offsetof(struct xl_dom0_irq_permission, irq) == 4, "IrqPermission");

/* GetCrash: 72 bytes */
struct xl_dom0_get_crash {
    xl_dom_id_t domain;
    uint8_t pad_at_2[2];
    uint32_t code;
    uint32_t detail;
    uint32_t vector;
    uint32_t error_code;
    uint32_t nr_stack;
    uint32_t stack[12];
};
_Static_assert(sizeof(struct xl_dom0_get_crash) == 72, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, domain) == 0, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, code) == 4, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, detail) == 8, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, vector) == 12, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, error_code) == 16, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, nr_stack) == 20, "GetCrash");
_Static_assert(offsetof(struct xl_dom0_get_crash, stack) == 24, "GetCrash");

/* ---- Rings ---- */


/* RingIndices: 16 bytes */
struct xl_ring_indices {
    uint32_t req_prod;
    uint32_t req_event;
    uint32_t rsp_prod;
    uint32_t rsp_event;
};
_Static_assert(sizeof(struct xl_ring_indices) == 16, "RingIndices");
_Static_assert(offsetof(struct xl_ring_indices, req_prod) == 0, "RingIndices");
_Static_assert(offsetof(struct xl_ring_indices, req_event) == 4, "RingIndices");
_Static_assert(offsetof(struct xl_ring_indices, rsp_prod) == 8, "RingIndices");
_Static_assert(offsetof(struct xl_ring_indices, rsp_event) == 12, "RingIndices");

/* ConsoleRing: 3088 bytes */
struct xl_console_ring {
    uint8_t input[1024];
    uint8_t output[2048];
    uint32_t in_cons;
    uint32_t in_prod;
    uint32_t out_cons;
    uint32_t out_prod;
};
_Static_assert(sizeof(struct xl_console_ring) == 3088, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, input) == 0, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, output) == 1024, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, in_cons) == 3072, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, in_prod) == 3076, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, out_cons) == 3080, "ConsoleRing");
_Static_assert(offsetof(struct xl_console_ring, out_prod) == 3084, "ConsoleRing");

/* ---- Block device rings ---- */

#define XL_BLKIF_MAX_SEGMENTS 11
#define XL_BLKIF_OP_READ (0)
#define XL_BLKIF_OP_WRITE (1)
#define XL_BLKIF_OP_WRITE_BARRIER (2)
#define XL_BLKIF_OP_FLUSH_DISKCACHE (3)
#define XL_BLKIF_OP_DISCARD (5)
#define XL_BLKIF_OP_INDIRECT (6)
#define XL_BLKIF_STATUS_OKAY (0)
#define XL_BLKIF_STATUS_ERROR (-1)
#define XL_BLKIF_STATUS_EOPNOTSUPP (-2)

/* Segment: 8 bytes */
struct xl_blkif_segment {
    uint32_t gref;
    uint8_t first_sect;
    uint8_t last_sect;
    uint8_t pad_at_6[2];
};
_Static_assert(sizeof(struct xl_blkif_segment) == 8, "Segment");
_Static_assert(offsetof(struct xl_blkif_segment, gref) == 0, "Segment");
_Static_assert(offsetof(struct xl_blkif_segment, first_sect) == 4, "Segment");
_Static_assert(offsetof(struct xl_blkif_segment, last_sect) == 5, "Segment");

/* Request32: 108 bytes */
struct xl_blkif_request32 {
    uint8_t operation;
    uint8_t nr_segments;
    uint16_t handle;
    uint64_t id;
    uint64_t sector_number;
    struct xl_blkif_segment seg[11];
};
_Static_assert(sizeof(struct xl_blkif_request32) == 108, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, operation) == 0, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, nr_segments) == 1, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, handle) == 2, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, id) == 4, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, sector_number) == 12, "Request32");
_Static_assert(offsetof(struct xl_blkif_request32, seg) == 20, "Request32");

/* Request64: 112 bytes */
struct xl_blkif_request64 {
    uint8_t operation;
    uint8_t nr_segments;
    uint16_t handle;
    uint8_t pad_at_4[4];
    uint64_t id;
    uint64_t sector_number;
    struct xl_blkif_segment seg[11];
};
_Static_assert(sizeof(struct xl_blkif_request64) == 112, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, operation) == 0, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, nr_segments) == 1, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, handle) == 2, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, id) == 8, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, sector_number) == 16, "Request64");
_Static_assert(offsetof(struct xl_blkif_request64, seg) == 24, "Request64");

/* Indirect32: 64 bytes */
struct xl_blkif_indirect32 {
    uint8_t operation;
    uint8_t indirect_op;
    uint16_t nr_segments;
    uint64_t id;
    uint64_t sector_number;
    uint16_t handle;
    uint8_t pad_at_22[2];
    uint32_t indirect_grefs[8];
    uint8_t pad_at_56[8];
};
_Static_assert(sizeof(struct xl_blkif_indirect32) == 64, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, operation) == 0, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, indirect_op) == 1, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, nr_segments) == 2, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, id) == 4, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, sector_number) == 12, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, handle) == 20, "Indirect32");
_Static_assert(offsetof(struct xl_blkif_indirect32, indirect_grefs) == 24, "Indirect32");

/* Indirect64: 64 bytes */
struct xl_blkif_indirect64 {
    uint8_t operation;
    uint8_t indirect_op;
    uint16_t nr_segments;
    uint8_t pad_at_4[4];
    uint64_t id;
    uint64_t sector_number;
    uint16_t handle;
    uint8_t pad_at_26[2];
    uint32_t indirect_grefs[8];
    uint8_t pad_at_60[4];
};
_Static_assert(sizeof(struct xl_blkif_indirect64) == 64, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, operation) == 0, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, indirect_op) == 1, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, nr_segments) == 2, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, id) == 8, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, sector_number) == 16, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, handle) == 24, "Indirect64");
_Static_assert(offsetof(struct xl_blkif_indirect64, indirect_grefs) == 28, "Indirect64");

/* Response32: 12 bytes */
struct xl_blkif_response32 {
    uint64_t id;
    uint8_t operation;
    uint8_t pad_at_9[1];
    uint16_t status;
};
_Static_assert(sizeof(struct xl_blkif_response32) == 12, "Response32");
_Static_assert(offsetof(struct xl_blkif_response32, id) == 0, "Response32");
_Static_assert(offsetof(struct xl_blkif_response32, operation) == 8, "Response32");
_Static_assert(offsetof(struct xl_blkif_response32, status) == 10, "Response32");

/* Response64: 16 bytes */
struct xl_blkif_response64 {
    uint64_t id;
    uint8_t operation;
    uint8_t pad_at_9[1];
    uint16_t status;
    uint8_t pad_at_12[4];
};
_Static_assert(sizeof(struct xl_blkif_response64) == 16, "Response64");
_Static_assert(offsetof(struct xl_blkif_response64, id) == 0, "Response64");
_Static_assert(offsetof(struct xl_blkif_response64, operation) == 8, "Response64");
_Static_assert(offsetof(struct xl_blkif_response64, status) == 10, "Response64");

/* ---- Network device rings ---- */

#define XL_NETIF_STATUS_OKAY (0)
#define XL_NETIF_STATUS_ERROR (-1)
#define XL_NETIF_STATUS_DROPPED (-2)
#define XL_NETIF_STATUS_NULL (1)
#define XL_NETTXF_CSUM_BLANK 0x1u
#define XL_NETTXF_DATA_VALIDATED 0x2u
#define XL_NETTXF_MORE_DATA 0x4u
#define XL_NETTXF_EXTRA_INFO 0x8u
#define XL_NETRXF_DATA_VALIDATED 0x1u
#define XL_NETRXF_CSUM_BLANK 0x2u
#define XL_NETRXF_MORE_DATA 0x4u
#define XL_NETRXF_EXTRA_INFO 0x8u

/* TxRequest: 12 bytes */
struct xl_netif_tx_request {
    uint32_t gref;
    uint16_t offset;
    uint16_t flags;
    uint16_t id;
    uint16_t size;
};
_Static_assert(sizeof(struct xl_netif_tx_request) == 12, "TxRequest");
_Static_assert(offsetof(struct xl_netif_tx_request, gref) == 0, "TxRequest");
_Static_assert(offsetof(struct xl_netif_tx_request, offset) == 4, "TxRequest");
_Static_assert(offsetof(struct xl_netif_tx_request, flags) == 6, "TxRequest");
_Static_assert(offsetof(struct xl_netif_tx_request, id) == 8, "TxRequest");
_Static_assert(offsetof(struct xl_netif_tx_request, size) == 10, "TxRequest");

/* ExtraInfo: 8 bytes */
struct xl_netif_extra_info {
    uint8_t kind;
    uint8_t flags;
    uint8_t data[6];
};
_Static_assert(sizeof(struct xl_netif_extra_info) == 8, "ExtraInfo");
_Static_assert(offsetof(struct xl_netif_extra_info, kind) == 0, "ExtraInfo");
_Static_assert(offsetof(struct xl_netif_extra_info, flags) == 1, "ExtraInfo");
_Static_assert(offsetof(struct xl_netif_extra_info, data) == 2, "ExtraInfo");

/* TxResponse: 4 bytes */
struct xl_netif_tx_response {
    uint16_t id;
    uint16_t status;
};
_Static_assert(sizeof(struct xl_netif_tx_response) == 4, "TxResponse");
_Static_assert(offsetof(struct xl_netif_tx_response, id) == 0, "TxResponse");
_Static_assert(offsetof(struct xl_netif_tx_response, status) == 2, "TxResponse");

/* RxRequest: 8 bytes */
struct xl_netif_rx_request {
    uint16_t id;
    uint8_t pad_at_2[2];
    uint32_t gref;
};
_Static_assert(sizeof(struct xl_netif_rx_request) == 8, "RxRequest");
_Static_assert(offsetof(struct xl_netif_rx_request, id) == 0, "RxRequest");
_Static_assert(offsetof(struct xl_netif_rx_request, gref) == 4, "RxRequest");

/* RxResponse: 8 bytes */
struct xl_netif_rx_response {
    uint16_t id;
    uint16_t offset;
    uint16_t flags;
    int16_t status;
};
_Static_assert(sizeof(struct xl_netif_rx_response) == 8, "RxResponse");
_Static_assert(offsetof(struct xl_netif_rx_response, id) == 0, "RxResponse");
_Static_assert(offsetof(struct xl_netif_rx_response, offset) == 2, "RxResponse");
_Static_assert(offsetof(struct xl_netif_rx_response, flags) == 4, "RxResponse");
_Static_assert(offsetof(struct xl_netif_rx_response, status) == 6, "RxResponse");

/* ---- The store ---- */

#define XL_XENBUS_UNKNOWN (0)
#define XL_XENBUS_INITIALISING (1)
#define XL_XENBUS_INIT_WAIT (2)
#define XL_XENBUS_INITIALISED (3)
#define XL_XENBUS_CONNECTED (4)
#define XL_XENBUS_CLOSING (5)
#define XL_XENBUS_CLOSED (6)
#define XL_XS_CONTROL (0)
#define XL_XS_DIRECTORY (1)
#define XL_XS_READ (2)
#define XL_XS_GET_PERMS (3)
#define XL_XS_WATCH (4)
#define XL_XS_UNWATCH (5)
#define XL_XS_TRANSACTION_START (6)
#define XL_XS_TRANSACTION_END (7)
#define XL_XS_INTRODUCE (8)
#define XL_XS_RELEASE (9)
#define XL_XS_GET_DOMAIN_PATH (10)
#define XL_XS_WRITE (11)
#define XL_XS_MKDIR (12)
#define XL_XS_RM (13)
#define XL_XS_SET_PERMS (14)
#define XL_XS_WATCH_EVENT (15)
#define XL_XS_ERROR (16)
#define XL_XS_IS_DOMAIN_INTRODUCED (17)
#define XL_XS_RESUME (18)
#define XL_XS_SET_TARGET (19)
#define XL_XS_RESET_WATCHES (21)
#define XL_XS_DIRECTORY_PART (22)

/* StoreRing: 2076 bytes */
struct xl_xs_store_ring {
    uint8_t req[1024];
    uint8_t rsp[1024];
    uint32_t req_cons;
    uint32_t req_prod;
    uint32_t rsp_cons;
    uint32_t rsp_prod;
    uint32_t server_features;
    uint32_t connection;
    uint32_t error;
};
_Static_assert(sizeof(struct xl_xs_store_ring) == 2076, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, req) == 0, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, rsp) == 1024, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, req_cons) == 2048, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, req_prod) == 2052, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, rsp_cons) == 2056, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, rsp_prod) == 2060, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, server_features) == 2064, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, connection) == 2068, "StoreRing");
_Static_assert(offsetof(struct xl_xs_store_ring, error) == 2072, "StoreRing");

/* MessageHeader: 16 bytes */
struct xl_xs_message_header {
    uint32_t kind;
    uint32_t req_id;
    uint32_t tx_id;
    uint32_t len;
};
_Static_assert(sizeof(struct xl_xs_message_header) == 16, "MessageHeader");
_Static_assert(offsetof(struct xl_xs_message_header, kind) == 0, "MessageHeader");
_Static_assert(offsetof(struct xl_xs_message_header, req_id) == 4, "MessageHeader");
_Static_assert(offsetof(struct xl_xs_message_header, tx_id) == 8, "MessageHeader");
_Static_assert(offsetof(struct xl_xs_message_header, len) == 12, "MessageHeader");

#pragma pack(pop)
#endif
