/*
 * A stand-in for the hypervisor, to test the launcher alone: a 32-bit multiboot1 and multiboot2 kernel that prints what it was given,
 * then does what its command line says:
 *
 *   count      read the serial port slowly until Ctrl-D, print how many bytes came and their checksum
 *   trace      print a stack trace through its own functions
 *   hang       wait for ever
 *   reset      triple fault
 *   exit=0xNN  the exit code, announced and written to the exit device (default: 0x10)
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

__asm__(".section .boot,\"a\"\n"
        ".balign 8\n"
        ".long 0x1BADB002, 0x3, -(0x1BADB002 + 0x3)\n"
        ".balign 8\n"
        "header2: .long 0xE85250D6, 0, end2 - header2, -(0xE85250D6 + (end2 - header2))\n"
        ".short 0, 0\n .long 8\n"
        "end2:\n"
        ".text\n.globl _start\n"
        "_start: movl $stack_top, %esp\n pushl %ebx\n pushl %eax\n call kernel_main\n"
        ".bss\n.balign 16\nstack: .skip 16384\nstack_top:\n.text\n");

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static int has_serial(void) { outb(0x3ff, 0x5a); return inb(0x3ff) == 0x5a; }
static int serial;

static void put(char c) { if (serial) { while (!(inb(0x3fd) & 0x20)); outb(0x3f8, c); } }
static void print(const char *s) { for (; *s; s++) { if (*s == '\n') put('\r'); put(*s); } }
static void print_hex(u32 v, int digits) {
    print("0x");
    while (digits--) put("0123456789abcdef"[(v >> (4 * digits)) & 15]);
}

static const char *find(const char *in, const char *word) {
    for (; *in; in++) {
        const char *a = in, *b = word;
        while (*b && *a == *b) a++, b++;
        if (!*b) return a;
    }
    return 0;
}

static u32 exit_code(const char *args) {
    const char *at = find(args, "exit=0x");
    u32 code = 0;
    if (!at) return 0x10;
    for (int i = 0; i < 2; i++) code = code * 16 + (at[i] > '9' ? at[i] - 'a' + 10 : at[i] - '0');
    return code;
}

static void count(void) {
    u32 bytes = 0, sum = 1;
    for (;;) {
        while (!(inb(0x3fd) & 1));
        u8 byte = inb(0x3f8);
        if (byte == 4) break;
        /* Slower than any host, so that only flow control keeps the bytes. */
        for (volatile int i = 0; i < 200; i++);
        bytes++;
        sum = sum * 31 + byte;
    }
    print("bytes "); print_hex(bytes, 8); print(" checksum "); print_hex(sum, 8); print("\n");
}

__attribute__((noinline)) static void trace(void) {
    print("panicked\n  #0 "); print_hex((u32)&print_hex, 8); print("\n  #1 ");
    print_hex((u32)__builtin_return_address(0), 8); print("\n");
}

void kernel_main(u32 magic, u32 *info) {
    static const char none[] = "";
    const char *args = none;
    serial = has_serial();
    if (serial) { outb(0x3fb, 0x80); outb(0x3f8, 1); outb(0x3f9, 0); outb(0x3fb, 3); outb(0x3fa, 7); outb(0x3fc, 3); }
    print("xenlite 0.0 stand-in\n");
    if (magic == 0x2BADB002) {
        if (info[0] & 4) args = find((const char *)info[4], " ");
        if (!args) args = none;
        u32 *module = (u32 *)info[6];
        for (u32 i = 0; (info[0] & 8) && i < info[5]; i++, module += 4) {
            print("module "); print_hex(module[1] - module[0], 8); print(" <"); print((const char *)module[2]); print(">\n");
        }
    } else {
        for (u32 *tag = info + 2; tag[0]; tag = (u32 *)((u8 *)tag + ((tag[1] + 7) & ~7u))) {
            if (tag[0] == 1) args = (const char *)(tag + 2);
            if (tag[0] == 3) { print("module "); print_hex(tag[3] - tag[2], 8); print(" <"); print((const char *)(tag + 4)); print(">\n"); }
        }
    }
    print("arguments <"); print(args); print(">\n");
    if (find(args, "count")) count();
    if (find(args, "trace")) trace();
    if (find(args, "hang")) for (;;);
    if (find(args, "reset")) {
        static const struct { u16 limit; u32 base; } __attribute__((packed)) no_idt = {0, 0};
        __asm__ volatile("lidt %0; ud2" ::"m"(no_idt));
    }
    u32 code = exit_code(args);
    print("xenlite: exit "); print_hex(code, 2); print("\n");
    if (serial) while (!(inb(0x3fd) & 0x40));
    outb(0xf4, code);
    for (const char *s = "Shutdown"; *s; s++) outb(0x8900, *s);
    for (;;);
}
