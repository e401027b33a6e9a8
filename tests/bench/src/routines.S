# The measured loops. Each operation is a macro; ROUTINE makes two functions of it, bench_NAME_full and
# bench_NAME_empty, which differ in nothing but the instructions given to MEASURED: fn(rounds) -> time-stamp ticks.
# The loop counter is ebp, which no call changes. Arguments lie in ARGS, an array of words.

.macro MEASURED instruction:vararg
    .if FULL
    \instruction
    .endif
.endm

.macro HYPERCALL
    MEASURED int 0x82
.endm

.macro LOOP op
    push ebp
    push ebx
    push esi
    push edi
    mov ebp, [esp + 20]
    rdtsc
    push edx
    push eax
2:  \op
    dec ebp
    jnz 2b
    rdtsc
    sub eax, [esp]
    sbb edx, [esp + 4]
    add esp, 8
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret
.endm

.macro ROUTINE op
    .set FULL, 1
    .globl bench_\op\()_full
    .balign 16
bench_\op\()_full:
    LOOP \op
    .set FULL, 0
    .globl bench_\op\()_empty
    .balign 16
bench_\op\()_empty:
    LOOP \op
.endm

.macro null
    mov eax, 17
    xor ebx, ebx
    HYPERCALL
.endm

.macro unknown
    mov eax, 40
    HYPERCALL
.endm

.macro stack_switch
    mov eax, 3
    mov ebx, {KERNEL_DS}
    mov ecx, [{ARGS}]
    HYPERCALL
.endm

# args: the request; what to flip in its value's low word
.macro mmu_update
    mov ebx, [{ARGS}]
    mov eax, [{ARGS} + 4]
    xor [ebx + 8], eax
    mov eax, 1
    mov ecx, 1
    xor edx, edx
    HYPERCALL
.endm

# args: the first list of requests; what to flip to get the other; how many
.macro mmu_batch
    mov ebx, [{ARGS}]
    xor ebx, [{ARGS} + 4]
    mov [{ARGS}], ebx
    mov eax, 1
    mov ecx, [{ARGS} + 8]
    xor edx, edx
    HYPERCALL
.endm

# args: page; entry low, high; what to flip in low
.macro update_va
    mov ebx, [{ARGS}]
    mov ecx, [{ARGS} + 4]
    xor ecx, [{ARGS} + 12]
    mov [{ARGS} + 4], ecx
    mov edx, [{ARGS} + 8]
    mov esi, 2
    mov eax, 14
    HYPERCALL
.endm

# args: address of the entry; its low word; unused; what to flip
.macro table_write
    mov ebx, [{ARGS}]
    mov ecx, [{ARGS} + 4]
    xor ecx, [{ARGS} + 12]
    mov [{ARGS} + 4], ecx
    MEASURED mov [ebx], ecx
.endm

# args: request to pin, request to unpin
.macro pin_unpin
    mov eax, 1
    mov ebx, [{ARGS}]
    mov ecx, 1
    xor edx, edx
    HYPERCALL
    mov eax, 1
    mov ebx, [{ARGS} + 4]
    mov ecx, 1
    xor edx, edx
    HYPERCALL
.endm

# args: unmapped address
.macro page_fault
    mov ebx, [{ARGS}]
    MEASURED mov eax, [ebx]
.endm

.macro undefined
    MEASURED ud2
.endm

.macro breakpoint
    MEASURED int3
.endm

.macro CLEAR_EVENTS
    mov ecx, [{ARGS} + 8]
    mov edx, [{ARGS} + 4]
    mov dword ptr [edx], 0
    mov dword ptr [ecx + {SELECTOR}], 0
    mov byte ptr [ecx + {PENDING}], 0
.endm

# args: the call's block; address of the port's pending word; shared_info
.macro send_masked
    CLEAR_EVENTS
    mov ebx, [{ARGS}]
    mov eax, 16
    HYPERCALL
.endm

.macro send_delivered
    CLEAR_EVENTS
    mov byte ptr [ecx + {MASK}], 0
    mov ebx, [{ARGS}]
    mov eax, 16
    HYPERCALL
.endm

# args: alloc_unbound's block, close's block
.macro alloc_close
    mov eax, 16
    mov ebx, [{ARGS}]
    HYPERCALL
    mov ebx, [{ARGS}]
    mov ecx, [ebx + 12]
    mov ebx, [{ARGS} + 4]
    mov [ebx + 12], ecx
    mov eax, 16
    HYPERCALL
.endm

# args: map's record, unmap's record
.macro grant
    mov eax, 20
    xor ebx, ebx
    mov ecx, [{ARGS}]
    mov edx, 1
    HYPERCALL
    mov ebx, [{ARGS}]
    mov edx, [ebx + 20]
    mov ecx, [{ARGS} + 4]
    mov [ecx + 16], edx
    mov eax, 20
    mov ebx, 1
    mov edx, 1
    HYPERCALL
.endm

# args: entries; how many
.macro multicall
    mov eax, 13
    mov ebx, [{ARGS}]
    mov ecx, [{ARGS} + 4]
    HYPERCALL
.endm

.macro trap_table
    xor eax, eax
    mov ebx, [{ARGS}]
    HYPERCALL
.endm

.macro descriptor
    mov eax, 10
    mov ebx, [{ARGS}]
    mov ecx, [{ARGS} + 4]
    mov edx, [{ARGS} + 8]
    mov esi, [{ARGS} + 12]
    HYPERCALL
.endm

# args: time high, low
.macro timer
    mov ebx, [{ARGS}]
    mov ecx, [{ARGS} + 4]
    add ecx, 1000
    mov [{ARGS} + 4], ecx
    mov eax, 15
    HYPERCALL
.endm

.macro yield
    mov eax, 6
    xor ebx, ebx
    HYPERCALL
.endm

# args: the block that creates, the block that ends
.macro create_destroy
    mov ebx, [{ARGS}]
    mov word ptr [ebx + {CREATED}], 0
    mov eax, 7
    HYPERCALL
    mov ebx, [{ARGS}]
    mov cx, [ebx + {CREATED}]
    mov ebx, [{ARGS} + 4]
    mov [ebx + {DESTROYED}], cx
    mov eax, 7
    HYPERCALL
.endm

# args: the block that sends
.macro send
    mov ebx, [{ARGS}]
    mov eax, 16
    HYPERCALL
.endm

# How long it takes from a send to the first instruction of the domain that it wakes, which notes the time. Without the
# send the time is noted here. args: the block that sends, where the time is noted, sum of the times
.macro wake
    mov esi, [{ARGS} + 4]
    mov ebx, [{ARGS}]
    rdtsc
    mov edi, eax
    mov eax, 16
    .if FULL
    int 0x82
    .else
    rdtsc
    mov [esi], eax
    .endif
    mov eax, [esi]
    sub eax, edi
    add [{ARGS} + 8], eax
.endm

.section .text.bench_routines, "ax", @progbits
.irp op, null, unknown, stack_switch, mmu_update, mmu_batch, update_va, table_write, pin_unpin, page_fault, undefined, breakpoint, send_masked, send_delivered, alloc_close, grant, multicall, trap_table, descriptor, timer, yield, create_destroy, send, wake
ROUTINE \op
.endr

# Handlers: no more than it takes to go on behind what trapped.
.globl bench_on_page_fault
bench_on_page_fault:                    # cr2, error code, eip ...
    add dword ptr [esp + 8], 2
    add esp, 8
    iretd
.globl bench_on_undefined
bench_on_undefined:
    add dword ptr [esp], 2
    iretd
.globl bench_on_plain
bench_on_plain:
    iretd

# The event callback of the search for the longest stretch: notes the time of its first entry, lets no further ones in.
.globl bench_on_timer
bench_on_timer:
    push eax
    push edx
    rdtsc
    mov [{ARGS} + 40], eax
    mov [{ARGS} + 44], edx
    pop edx
    pop eax
    iretd

# Ring 3: fn bench_ring3(code: its loop, rounds) -> ticks. The loop ends in int3, whose handler comes back here.
.globl bench_ring3
bench_ring3:
    push ebp
    push ebx
    push esi
    push edi
    mov ecx, [esp + 20]
    mov ebp, [esp + 24]
    mov [{ARGS} + 60], esp
    push {USER_DS}
    push 0
    push 0x202
    push {USER_CS}
    push ecx
    iretd
.globl bench_on_ring3_end
bench_on_ring3_end:
    mov ecx, {KERNEL_DS}
    mov ds, ecx
    mov es, ecx
    mov esp, [{ARGS} + 60]
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret

.macro RING3_LOOP
    rdtsc
    mov esi, eax
    mov edi, edx
2:  MEASURED int 0x80
    dec ebp
    jnz 2b
    rdtsc
    sub eax, esi
    sbb edx, edi
    int3
.endm

.section .text.bench_user, "ax", @progbits
.balign 4096
.globl bench_user_page
bench_user_page:
.globl bench_ring3_full
    .set FULL, 1
bench_ring3_full:
    RING3_LOOP
.globl bench_ring3_empty
    .set FULL, 0
bench_ring3_empty:
    RING3_LOOP
.balign 4096
