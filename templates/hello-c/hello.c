/* A guest kernel for xenlite, in C: it says hello on its console and shuts down.
 *
 * It starts in ring 1 with paging on, its image mapped writable at the address that guest.ld names, a stack of one page, and
 * the address of start_info in ESI.
 */
#include "xenlite.h"

/* What makes this file a guest: notes of owner "xenlite", of which one tells the interface that it was written for. */
__asm__(".section .note.xenlite, \"a\", @note\n"
        ".balign 4\n"
        ".long 8, 4, 1\n" /* bytes of the owner, bytes of the value, XL_NOTE_ABI_VERSION */
        ".asciz \"xenlite\"\n"
        ".long 0x20000\n" /* XL_INTERFACE_VERSION */
        ".text\n"
        ".globl start\n"
        "start: cld\n"
        "push %esi\n"
        "call hello\n");

/* A page of our own, to map the console's ring over. */
static volatile uint8_t console_page[XL_PAGE_SIZE] __attribute__((aligned(XL_PAGE_SIZE)));

static uint32_t length(const char *text)
{
    uint32_t n = 0;
    while (text[n])
        n++;
    return n;
}

/* Domain0 writes to the machine's console by a call; any other domain has a ring that Domain0 reads. */
static void print(const struct xl_start_info *info, const char *text)
{
    if (info->flags & XL_SIF_INITIAL_DOMAIN) {
        xl_call(XL_CALL_CONSOLE_IO, XL_CONSOLE_WRITE, length(text), (uint32_t)text, 0, 0);
        return;
    }
    volatile struct xl_console_ring *ring = (void *)console_page;
    uint64_t entry = (uint64_t)info->console_mfn << XL_PAGE_SHIFT | XL_PTE_PRESENT | XL_PTE_WRITABLE;
    xl_call(XL_CALL_UPDATE_VA_MAPPING, (uint32_t)ring >> XL_PAGE_SHIFT, (uint32_t)entry, (uint32_t)(entry >> 32),
            XL_UVMF_INVLPG, 0);
    for (; *text; text++) {
        ring->output[ring->out_prod % sizeof ring->output] = *text;
        __asm__ volatile("" ::: "memory"); /* the byte before the index that shows it */
        ring->out_prod++;
    }
    struct xl_evtchn_op op = { .cmd = XL_EVTCHN_SEND };
    *(struct xl_evtchn_send *)op.u = (struct xl_evtchn_send){ .local_port = info->console_evtchn };
    xl_call(XL_CALL_EVENT_CHANNEL_OP, (uint32_t)&op, 0, 0, 0, 0);
}

void hello(const struct xl_start_info *info)
{
    print(info, "hello from a guest in C\n");
    for (;;)
        xl_call(XL_CALL_SCHED_OP, XL_SCHED_SHUTDOWN | XL_SHUTDOWN_POWEROFF << 8, 0, 0, 0, 0);
}
