# Every way from a guest into the hypervisor and back.
#
# The frame on the stack is hv_core::regs::UserRegs: the processor's five words, the error code with the vector in
# its upper half, a word that keeps the stack aligned, then rax rcx rdx rsi rdi rbp rbx. An entry from a guest starts at the very top of the CPU's stack,
# so the CPU's data is at a constant distance from rsp. r8-r15 do not exist for 32-bit guests.

.set REGS_RAX, 48
.set REGS_ERROR_CODE, 64
.set REGS_VECTOR, 68
.set REGS_RIP, 72
.set REGS_CS, 80
.set REGS_SIZE, 112
# What to add to rsp, once the frame is complete, to reach the CPU's block.
.set PERCPU, REGS_SIZE - {block_size}
# The same with only the processor's five words pushed.
.set PERCPU_BARE, 40 - {block_size}

.set VECTOR_DB, 1
.set VECTOR_NMI, 2
.set VECTOR_DF, 8
.set VECTOR_PF, 14
.set VECTOR_MC, 18

.macro PUSH_REGS
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push rbx
    cld
.endm

.macro POP_REGS
    pop rbx
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
.endm

# The rest of the registers, for entries that interrupted the hypervisor.
.macro PUSH_HOST_REGS
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
.endm

.macro POP_HOST_REGS
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
.endm

.section .text.entry, "ax"

# int 0x82 from ring 1: eax = number, ebx ecx edx esi edi = arguments.
# Calls handler(a5, a4, a3, a2, frame, a1): in this order four arguments are where the convention wants them. Of an
# argument register only the lower half counts. What the handler returns becomes eax.
.balign 64
.global entry_hypercall
entry_hypercall:
    sub rsp, 16
    PUSH_REGS
    cmp eax, {last_call}
    ja 2f
    mov r8, rsp
    mov r9d, ebx
    mov eax, eax
    lea r10, [rip + hypercall_table]
    call [r10 + rax * 8]
    mov [rsp + REGS_RAX], eax
.global entry_return
entry_return:
    mov rcx, [rsp + PERCPU + {upcall_flags}]
    cmp dword ptr [rsp + PERCPU + {due}], 0
    jne 3f
    cmp byte ptr [rcx], 0               # events pending?
    jne 5f
4:  mov dword ptr [rsp + REGS_RIP + 4], 0
    POP_REGS
    add rsp, 16
.global entry_iret
entry_iret:
    iretq
2:  call hypercall_unknown
    mov [rsp + REGS_RAX], eax
    jmp entry_return
5:  cmp byte ptr [rcx + 1], 0           # and masked?
    jne 4b
3:  mov rdi, rsp
    call exit_work                      # ends with nothing left to do; may change the frame
    jmp 4b

# iretq to the guest faulted: its frame is still on the stack, the other registers hold the guest's values.
# (The processor pushed a second frame below; the exception path sends us here with rsp back at the guest's.)
.global entry_iret_failed
entry_iret_failed:
    sub rsp, 16
    PUSH_REGS
    mov rdi, rsp
    call iret_failed
    jmp entry_return

# Page faults, the error code on the stack: page_fault_from_guest(frame, CR2). Their gate leads straight here.
.balign 16
.global entry_page_fault
entry_page_fault:
    push rax                            # keeps the stack aligned
    PUSH_REGS
    test byte ptr [rsp + REGS_CS], 3
    jz 2f
    mov rdi, rsp
    mov rsi, cr2
    call page_fault_from_guest
    jmp entry_return
2:  mov dword ptr [rsp + REGS_VECTOR], VECTOR_PF
    jmp entry_exception_inside

# Exceptions that are simply passed on, without error code: plain_trap_from_guest(frame, vector). An entry of 64 bytes
# for each, in the order that entry.rs knows.
.balign 64
.global entry_plain
entry_plain:
    .irp vector, 0, 3, 4, 5, 6, 9, 16, 19
    .balign 64
    sub rsp, 16
    PUSH_REGS
    test byte ptr [rsp + REGS_CS], 3
    jz 2f
    mov rdi, rsp
    mov esi, \vector
    call plain_trap_from_guest
    jmp entry_return
2:  mov dword ptr [rsp + REGS_ERROR_CODE], 0
    mov dword ptr [rsp + REGS_VECTOR], \vector
    jmp entry_exception_inside
    .endr
entry_plain_end:

# Other exceptions, and every vector a guest may raise by `int n`.
.balign 16
entry_exception:
    push rax
    PUSH_REGS
    test byte ptr [rsp + REGS_CS], 3
    jz entry_exception_inside
    mov rdi, rsp
    call trap_from_guest
    jmp entry_return
entry_exception_inside:
    PUSH_HOST_REGS
    lea rdi, [rsp + 64]
    mov rsi, rsp
    call trap_from_hypervisor
    POP_HOST_REGS
    POP_REGS
    add rsp, 16
    iretq

# Device interrupts.
.balign 16
entry_interrupt:
    push rax
    PUSH_REGS
    test byte ptr [rsp + REGS_CS], 3
    jz 2f
    mov edi, [rsp + REGS_VECTOR]
    call interrupt
    jmp entry_return
2:  PUSH_HOST_REGS
    mov edi, [rsp + 64 + REGS_VECTOR]
    call interrupt
    POP_HOST_REGS
    POP_REGS
    add rsp, 16
    iretq

# #DB comes on its own stack, because it may hit the hypervisor's first instructions (MOV SS before int).
# From a guest it moves to the ordinary stack; from the hypervisor it is only recorded.
.balign 16
.global entry_debug
entry_debug:
    push 0
    mov dword ptr [rsp + 4], VECTOR_DB
    test byte ptr [rsp + 16], 3
    jz 2f
    push rax
    mov rax, rsp
    or rax, {block_size} - 1
    sub rax, 47                         # six words below the block's end
    push rcx
    .irp slot, 0, 8, 16, 24, 32, 40
    mov rcx, [rsp + 16 + \slot]
    mov [rax + \slot], rcx
    .endr
    pop rcx
    xchg rax, [rsp]                     # rax = the guest's, [rsp] = the new stack pointer
    pop rsp
    jmp entry_exception
2:  push rax
    PUSH_REGS
    PUSH_HOST_REGS
    call debug_from_hypervisor
    POP_HOST_REGS
    POP_REGS
    add rsp, 16
    iretq

# NMI and #MC: own stacks, no lock, no guest memory; they leave a mark.
.balign 16
.global entry_nmi
entry_nmi:
    push 0
    mov dword ptr [rsp + 4], VECTOR_NMI
    push rax
    PUSH_REGS
    PUSH_HOST_REGS
    lea rdi, [rsp + 64]
    call nmi
    POP_HOST_REGS
    POP_REGS
    add rsp, 16
    iretq

.balign 16
.global entry_machine_check
entry_machine_check:
    push 0
    mov dword ptr [rsp + 4], VECTOR_MC
    push rax
    PUSH_REGS
    PUSH_HOST_REGS
    lea rdi, [rsp + 64]
    call machine_check
    POP_HOST_REGS
    POP_REGS
    add rsp, 16
    iretq

.balign 16
.global entry_double_fault
entry_double_fault:
    mov dword ptr [rsp + 4], VECTOR_DF
    push rax
    PUSH_REGS
    PUSH_HOST_REGS
    lea rdi, [rsp + 64]
    mov rsi, rsp
    call double_fault                   # does not return

# The fast trap: `int n` of ring 3 straight to the registered ring-1 handler, on the registered ring-1 stack.
# Writes the five-word frame there, then returns into the handler. No Rust code, no state, no lock. From ring 1 (or
# if the stack faults) it is an ordinary `int n`: the bare frame is untouched, so the slow stub can take over.
.macro COPY_WORD from, to
    mov ecx, [rsp + 16 + \from]
9:  mov [rax + \to], ecx
    .pushsection .ex_table, "a"
    .balign 4
    .long 9b - ., fast_trap_fault - .
    .popsection
.endm

.balign 64
.global entry_fast_trap
entry_fast_trap:
    push rax
    push rcx
    test byte ptr [rsp + 24], 2
    jz fast_trap_slow
    mov rax, [rsp + PERCPU_BARE + 16 + {fast_esp}]
    COPY_WORD 32, 16                    # ss
    COPY_WORD 24, 12                    # esp
    COPY_WORD 8, 4                      # cs
    COPY_WORD 0, 0                      # eip
    COPY_WORD 16, 8                     # eflags
    and ecx, {fast_flags_kept}
    mov rax, [rsp + PERCPU_BARE + 16 + {fast_ss}]
    push rax
    push qword ptr [rsp + PERCPU_BARE + 24 + {fast_esp}]
    push rcx
    push qword ptr [rsp + PERCPU_BARE + 40 + {fast_cs}]
    push qword ptr [rsp + PERCPU_BARE + 48 + {fast_eip}]
    mov rcx, [rsp + 40]
    mov rax, [rsp + 48]
.global fast_trap_iret
fast_trap_iret:
    iretq

# The handler's selector or stack did not load: forget the half-made entry and take the slow way.
.global fast_trap_undo
fast_trap_undo:
    add rsp, 40
.global fast_trap_fault
fast_trap_fault:
fast_trap_slow:
    pop rcx
    pop rax
    push qword ptr [rsp + PERCPU_BARE + {fast_slot}]
    jmp entry_exception

# One stub of 16 bytes per vector. The processor pushes an error code for 8, 10 to 14, 17, 21, 29 and 30.
.balign 16
.global entry_stubs
entry_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    .byte 0xC7, 0x44, 0x24, 0x04        # mov dword ptr [rsp + 4], vector
    .long vector
    .if vector >= 0xE0
    jmp entry_interrupt
    .else
    jmp entry_exception
    .endif
    .set vector, vector + 1
    .endr
