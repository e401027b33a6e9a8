/* Every way into the guest kernel after start-up, and the ways back.
 *
 * Register contract: the hypervisor enters with the frame it built on top of the stack (docs/mini-guest.md), the
 * mask byte as it was or 1, and the data selectors of the interrupted code. mini_guest_trap gets a TrapFrame.
 *
 * Stack: there is one kernel stack. An entry from ring 3 finds it empty, so the frame of the interrupted
 * program always lies at FRAME_BASE. Operands come from traps/mod.rs.
 */

/* struct TrapFrame, 120 bytes (the last two words only for entries from ring 3):
 *   0 gs   4 fs   8 es  12 ds  16 ebx  20 ecx  24 edx  28 esi  32 edi  36 ebp  40 eax  44 vector
 *  48 spare (44 bytes)  92 cr2  96 error  100 eip  104 cs  108 eflags  112 esp  116 ss                      */

        .macro  vector_no_code n
        .balign 16
mini_guest_vector_\n:
        push    0
        push    0
        lea     esp, [esp - 44]
        push    \n
        jmp     mini_guest_entry_common
        .endm

        .macro  vector_code n
        .balign 16
mini_guest_vector_\n:
        push    0
        lea     esp, [esp - 44]
        push    \n
        jmp     mini_guest_entry_common
        .endm

        .section .text.mini_guest_traps, "ax", @progbits

        vector_no_code 0
        vector_no_code 1
        vector_no_code 3
        vector_no_code 4
        vector_no_code 5
        vector_no_code 6
        vector_no_code 7
        vector_no_code 9
        vector_code    10
        vector_code    11
        vector_code    12
        vector_code    13
        .balign 16
mini_guest_vector_14:                   /* the frame brings CR2 above the error code */
        lea     esp, [esp - 44]
        push    14
        jmp     mini_guest_entry_common
        vector_no_code 16
        vector_code    17
        vector_no_code 19
        vector_no_code 128

/* Event callback. Entered with the mask at 1. */
        .globl  mini_guest_upcall
        .balign 16
mini_guest_upcall:
        test    byte ptr [esp + 4], 2
        jnz     2f
        cmp     dword ptr [esp], offset mini_guest_exit_start
        jb      2f
        cmp     dword ptr [esp], offset mini_guest_exit_end
        jb      mini_guest_exit_interrupted
2:      push    0
        push    0
        lea     esp, [esp - 44]
        push    {EVENT}
        jmp     mini_guest_entry_common

/* Failsafe callback: DS, ES, FS, GS lie above the iret frame and at least one could not be loaded. They go to
 * the frame's slots; the exit path tries each and puts 0 where it fails. */
        .globl  mini_guest_failsafe
        .balign 16
mini_guest_failsafe:
        test    byte ptr [esp + 20], 2
        jnz     2f
        cmp     dword ptr [esp + 16], offset mini_guest_exit_start
        jb      2f
        cmp     dword ptr [esp + 16], offset mini_guest_exit_end
        jb      mini_guest_exit_pending
2:
        lea     esp, [esp - 84]         /* eip now at 100, the four words at 84 (ds) to 96 (gs) */
        mov     [esp + 16], ebx
        mov     [esp + 20], ecx
        mov     [esp + 24], edx
        mov     [esp + 28], esi
        mov     [esp + 32], edi
        mov     [esp + 36], ebp
        mov     [esp + 40], eax
        mov     eax, [esp + 84]
        mov     [esp + 12], eax
        mov     eax, [esp + 88]
        mov     [esp + 8], eax
        mov     eax, [esp + 92]
        mov     [esp + 4], eax
        mov     eax, [esp + 96]
        mov     [esp], eax
        mov     dword ptr [esp + 44], {FAILSAFE}
        mov     dword ptr [esp + 92], 0
        mov     dword ptr [esp + 96], 0
        jmp     mini_guest_entry_saved

        .balign 16
mini_guest_entry_common:
        push    eax
        push    ebp
        push    edi
        push    esi
        push    edx
        push    ecx
        push    ebx
        /* By way of EAX: in Intel syntax LLVM's `push ds` is the one of two bytes. */
        mov     eax, ds
        push    eax
        mov     eax, es
        push    eax
        mov     eax, fs
        push    eax
        mov     eax, gs
        push    eax
mini_guest_entry_saved:
        /* The kernel runs with events masked. Some gates do not mask them (fast trap, 1, 7); an upcall that
         * comes before this line only sets the mask itself, see mini_guest_trap. */
        mov     byte ptr ss:[{SHARED} + {MASK_OFFSET}], 1
        mov     eax, {KERNEL_DS}
        mov     ds, eax
        mov     es, eax
        cld
        xor     ebp, ebp
        mov     ebx, esp
        mov     eax, [esp + 44]
mini_guest_dispatch:                    /* ebx = frame, eax = what to report */
        and     esp, -16
        sub     esp, 8
        push    eax
        push    ebx
        call    mini_guest_trap
        mov     esp, ebx
        test    byte ptr [esp + 104], 2
        jnz     mini_guest_exit_start

/* Back to ring 1. fs and gs belong to the program and were not touched; events stay masked. */
        lea     esp, [esp + 8]
        pop     eax
        mov     es, eax
        pop     eax
        mov     ds, eax
        pop     ebx
        pop     ecx
        pop     edx
        pop     esi
        pop     edi
        pop     ebp
        pop     eax
        lea     esp, [esp + 56]
        iretd

/* Back to ring 3: ESP = FRAME_BASE. From mini_guest_exit_start to mini_guest_exit_end the frame is only read,
 * and what the hypervisor pushes meanwhile lands below it or, at the iret, in the 56 bytes from vector to error
 * (a failsafe frame of 28 bytes with an event frame of 12 on top is the longest). So where an event stops
 * this path, all of it is simply done again from the start. A fault at the iret itself is the one case whose
 * entry overwrites the frame's registers; they are in the processor then, and traps/mod.rs puts them back. */
        .balign 16
        .globl  mini_guest_exit_start
mini_guest_exit_start:
        .globl  mini_guest_load_gs
mini_guest_load_gs:
        mov     gs, [esp + 0]
        .globl  mini_guest_load_fs
mini_guest_load_fs:
        mov     fs, [esp + 4]
        .globl  mini_guest_load_es
mini_guest_load_es:
        mov     es, [esp + 8]
        .globl  mini_guest_load_ds
mini_guest_load_ds:
        mov     ds, [esp + 12]
        mov     byte ptr ss:[{SHARED} + {MASK_OFFSET}], 0
        cmp     byte ptr ss:[{SHARED} + {PENDING_OFFSET}], 0
        jne     mini_guest_exit_pending
        mov     ebx, [esp + 16]
        mov     ecx, [esp + 20]
        mov     edx, [esp + 24]
        mov     esi, [esp + 28]
        mov     edi, [esp + 32]
        mov     ebp, [esp + 36]
        mov     eax, [esp + 40]
        lea     esp, [esp + 100]
        .globl  mini_guest_exit_iret
mini_guest_exit_iret:
        iretd
        .globl  mini_guest_exit_end
mini_guest_exit_end:

mini_guest_exit_pending:
        mov     byte ptr ss:[{SHARED} + {MASK_OFFSET}], 1
mini_guest_exit_interrupted:            /* the mask is 1; the registers still lie in the frame */
        mov     eax, {KERNEL_DS}
        mov     ds, eax
        mov     es, eax
        mov     esp, offset {STACK} + {FRAME_BASE}
        xor     ebp, ebp
        mov     ebx, esp
        mov     eax, {EVENT}
        jmp     mini_guest_dispatch

/* Where a fault inside the exit path is sent after the frame was corrected. */
        .globl  mini_guest_exit_restart
mini_guest_exit_restart:
        mov     eax, {KERNEL_DS}
        mov     ds, eax
        mov     es, eax
        mov     esp, offset {STACK} + {FRAME_BASE}
        jmp     mini_guest_exit_start

/* fn mini_guest_enter_user(frame: *const TrapFrame) -> !: starts the first program. */
        .globl  mini_guest_enter_user
mini_guest_enter_user:
        mov     esi, [esp + 4]
        mov     edi, offset {STACK} + {FRAME_BASE}
        mov     esp, edi
        mov     ecx, 30
        rep movsd
        jmp     mini_guest_exit_start

/* The vectors that have an entry: pairs of number and address, ended by an address of 0. */
        .section .rodata.mini_guest_vectors, "a", @progbits
        .balign 4
        .globl  mini_guest_vector_table
mini_guest_vector_table:
        .irp    n, 0,1,3,4,5,6,7,9,10,11,12,13,14,16,17,19,128
        .long   \n, mini_guest_vector_\n
        .endr
        .long   0, 0
