# From the boot loader to 64-bit code at the image's own address.
#
# Entered in 32-bit protected mode, paging off, by GRUB (multiboot2) or by QEMU's -kernel (multiboot1):
#   eax = the protocol's magic number, ebx = physical address of its information.
# Builds page tables that map the first 4 GiB three times (identity, image base, direct map) with 2 MiB pages,
# enters long mode and calls hv_main(magic, info, time-stamp counter at entry) on the boot CPU's stack. Rust replaces these tables soon.

.set MB1_MAGIC, 0x1BADB002
.set MB1_FLAGS, 0x3                     # page-aligned modules, memory map
.set MB2_MAGIC, 0xE85250D6

.set L4_SLOT_IMAGE,  261
.set L4_SLOT_DIRECT, 262
.set PTE_TABLE, 0x3                     # present, writable
.set PTE_LARGE, 0x183                   # present, writable, 2 MiB, global

.section .boot.header, "a"
.balign 8
mb2_header:
    .long MB2_MAGIC, 0, mb2_end - mb2_header, 0x100000000 - (MB2_MAGIC + (mb2_end - mb2_header))
    .balign 8
    .short 4, 1                         # console flags: text mode is understood
    .long 12, 2
    .balign 8
    .short 5, 1                         # a framebuffer is welcome where there is no text mode
    .long 20, 0, 0, 32
    .balign 8
    .short 6, 0                         # modules on page boundaries
    .long 8
    .balign 8
    .short 0, 0
    .long 8
mb2_end:

.balign 4
    .long MB1_MAGIC, MB1_FLAGS, 0x100000000 - (MB1_MAGIC + MB1_FLAGS)

.section .boot.text, "ax"
.code32
.global _start32
_start32:
    cli
    cld
    mov esp, offset boot_stack_top
    mov edi, eax
    mov esi, ebx
    rdtsc                               # when the loader jumped here
    push edx
    push eax

    mov eax, 0x80000000                 # long mode, no-execute pages?
    cpuid
    cmp eax, 0x80000001
    jb boot_too_old
    mov eax, 0x80000001
    cpuid
    and edx, (1 << 29) | (1 << 20)
    cmp edx, (1 << 29) | (1 << 20)
    jne boot_too_old

    # Four L2 tables: 2048 entries of 2 MiB.
    mov edx, offset boot_l2
    xor ecx, ecx
    mov eax, PTE_LARGE
2:  mov [edx + ecx * 8], eax
    mov dword ptr [edx + ecx * 8 + 4], 0
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jb 2b

    # One L3 with those four, shared by the three L4 slots.
    mov edx, offset boot_l3
    mov eax, offset boot_l2 + PTE_TABLE
    mov [edx], eax
    add eax, 0x1000
    mov [edx + 8], eax
    add eax, 0x1000
    mov [edx + 16], eax
    add eax, 0x1000
    mov [edx + 24], eax
    mov edx, offset boot_l4
    mov eax, offset boot_l3 + PTE_TABLE
    mov [edx], eax
    mov [edx + L4_SLOT_IMAGE * 8], eax
    mov [edx + L4_SLOT_DIRECT * 8], eax

    mov eax, cr4
    or eax, 1 << 5                      # PAE
    mov cr4, eax
    mov eax, offset boot_l4
    mov cr3, eax
    mov ecx, 0xC0000080                 # EFER: LME, NXE
    rdmsr
    or eax, (1 << 8) | (1 << 11)
    wrmsr
    mov eax, 0x80010033                 # PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    # A far jump to 64-bit code, as a far return: Intel-syntax assemblers disagree about its direct form.
    push 8
    mov eax, offset boot_long_mode
    push eax
    retf

boot_too_old:
    mov esi, offset boot_too_old_text
    mov edi, 0xB8000
    mov ah, 0x4F
3:  lodsb
    test al, al
    jz 4f
    mov [edi], ax
    add edi, 2
    mov dx, 0x3F8
    out dx, al
    jmp 3b
4:  hlt
    jmp 4b
boot_too_old_text: .asciz "xenlite: this processor has no 64-bit mode or no no-execute pages"

.code64
boot_long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    movabs rsp, offset {block} + {block_size}
    xor ebp, ebp
    mov edi, edi
    mov esi, esi
    mov eax, offset boot_stack_top - 8
    mov rdx, [rax]
    movabs rax, offset hv_main
    push rbp                            # hv_main never returns
    jmp rax

.balign 8
boot_gdt: .quad 0, 0x00AF9B000000FFFF
boot_gdt_pointer:
    .short 15
    .long boot_gdt

.section .boot.bss, "aw", @nobits
.balign 4096
.global boot_l4
boot_l4: .skip 4096
boot_l3: .skip 4096
boot_l2: .skip 4 * 4096
boot_stack: .skip 256
boot_stack_top:
