//! The commands in a table: what each is called, takes and does.

use alloc::format;
use alloc::string::String;

use programs::{eprintln, print};

use crate::{
    Outcome, block, console, create, daemon, dmesg, info, life, listing, network, pci, requests, sched, top,
};

/// A command.
pub struct Command {
    /// Its name, and other names of it.
    pub names: &'static [&'static str],
    /// What it takes.
    takes: &'static str,
    /// What it does.
    does: &'static str,
    /// More about it, line by line.
    more: &'static [&'static str],
    /// Does it.
    pub run: fn(&[&str]) -> Outcome,
}

impl Command {
    /// What `--help` prints.
    pub fn usage(&self) -> String {
        let mut text = format!("usage: {} {}\n{}.\n", self.names[0], self.takes, self.does);
        for line in self.more {
            text += &format!("  {line}\n");
        }
        text
    }
}

const COMMANDS: &[Command] = &[
    Command {
        names: &["create"],
        takes: "NAME|CONFIG [OPTION...]",
        does: "Creates a domain and starts it",
        more: &[
            "NAME is the new domain's; /etc/xen/NAME.cfg is read if it is there and no --kernel is given.",
            "CONFIG is a configuration file (it has a slash or ends in .cfg).",
            "--kernel MODULE|FILE   its kernel; `ls /boot` shows the boot modules",
            "--initrd MODULE|FILE   its initial file system; --no-initrd for none",
            "--append TEXT          more words for its kernel's command line",
            "--memory SIZE          16M, 512K, 1G; a plain number is megabytes",
            "--maxmem SIZE          how much it may ask for later",
            "--weight N             its share of the processor; 256 is the ordinary one",
            "--on-poweroff ACTION, --on-reboot ACTION, --on-crash ACTION   destroy, restart or preserve",
            "--disk DISK[,DEVICE[,r|w]][,weight=N]   a disk, as for block-attach; several are possible",
            "--vif [KEY=VALUE,...]  a network interface, as for network-attach; several are possible",
            "--ioport FIRST-LAST, --irq N, --pci BUS:DEV.FN   devices that are taken from here and are its alone",
            "--unsafe-dma           those PCI functions may write to memory by themselves: to all of it, for nothing",
            "                       translates their addresses. Without it the hypervisor keeps them from doing so",
            "--show                 its console's lines appear here, its name before each",
            "--paused, -p           leave it paused",
            "--console, -c          go to its console at once",
            "--dry-run, -n          only print what would be created, as JSON",
        ],
        run: create::create,
    },
    Command {
        names: &["list", "vm-list"],
        takes: "[--json] [--long] [NAME|ID...]",
        does: "Lists domains",
        more: &[
            "States: r running, b blocked, p paused, s shut down, c crashed, d dying.",
            "--long, -l prints everything that `info` knows, as JSON.",
        ],
        run: listing::list,
    },
    Command {
        names: &["info"],
        takes: "[--json] [NAME|ID...]",
        does: "Shows the machine, or everything about domains: settings, reason of the end, registers, stack",
        more: &[],
        run: info::info,
    },
    Command {
        names: &["console"],
        takes: "[--escape KEY] NAME|ID",
        does: "Connects this terminal with a domain's console; Ctrl-^ comes back",
        more: &[
            "--escape KEY, -e KEY       another key that comes back: ^A is Ctrl-A",
            "--show NAME, --hide NAME   whether its lines appear here while nobody is connected",
        ],
        run: console::console,
    },
    Command {
        names: &["pause"],
        takes: "NAME|ID...",
        does: "Stops domains until they are unpaused",
        more: &[],
        run: life::pause,
    },
    Command {
        names: &["unpause"],
        takes: "NAME|ID...",
        does: "Lets paused domains go on",
        more: &[],
        run: life::unpause,
    },
    Command {
        names: &["shutdown"],
        takes: "[--wait] [--all|-a] NAME|ID...",
        does: "Asks domains to end in good order",
        more: &["--wait, -w comes back when they have ended."],
        run: requests::shutdown,
    },
    Command {
        names: &["reboot"],
        takes: "[--wait] [--all|-a] NAME|ID...",
        does: "Asks domains to end and to be started again",
        more: &["--wait, -w comes back when they have ended."],
        run: requests::reboot,
    },
    Command {
        names: &["destroy"],
        takes: "NAME|ID...",
        does: "Ends domains at once, whatever they do; everything they hold is given back",
        more: &[],
        run: life::destroy,
    },
    Command {
        names: &["block-attach"],
        takes: "NAME|ID DISK [DEVICE [r|w]] [weight=N]",
        does: "Gives a domain a disk",
        more: &[
            "DISK is one of Domain0's disks or partitions, or ramN:M, M megabytes of Domain0's memory,",
            "or file:PATH, a file of a FAT volume that Domain0 has mounted and goes on to use.",
            "DEVICE is the domain's name for it, xvda to xvdz; the first that is free without it.",
            "weight=N behind them is its share, as for block-sched.",
            "r: only to be read. One domain may write to a disk, or several may read; Domain0 counts too.",
        ],
        run: block::attach,
    },
    Command {
        names: &["block-detach"],
        takes: "[--force] NAME|ID DEVICE",
        does: "Takes a disk from a domain",
        more: &[
            "A domain lets go of a disk when nothing of it is mounted or open there.",
            "--force does not wait for that.",
        ],
        run: block::detach,
    },
    Command {
        names: &["block-restart"],
        takes: "[--kills COUNT] [NAME|ID [DEVICE]]",
        does: "Kills the backends of disks and starts new ones; domains go on",
        more: &[
            "--kills COUNT kills so many times: after the first step of each kind, after the second, and so on.",
        ],
        run: block::restart,
    },
    Command {
        names: &["block-list"],
        takes: "[--counters] [NAME|ID...]",
        does: "Lists the disks of domains",
        more: &[
            "--counters shows what the backend has done, too: requests, bytes, bytes copied, events sent;",
            "and how many sectors the disk did for others while a request of this domain waited.",
        ],
        run: block::list,
    },
    Command {
        names: &["block-sched"],
        takes: "[NAME|ID [[DEVICE] WEIGHT]]",
        does: "Shows or sets the shares that domains have of a disk",
        more: &[
            "WEIGHT is a number from 1 to 1000; 100 is the ordinary one, and Domain0's own.",
            "Those that want more than they get have a disk in proportion to their weights. It holds at once.",
        ],
        run: block::sched,
    },
    Command {
        names: &["network-attach"],
        takes: "NAME|ID [KEY=VALUE...]",
        does: "Gives a domain a network interface on Domain0's bridge",
        more: &[
            "mac=ADDRESS            its address; made of the domain's number without it",
            "ip=ADDRESS/PREFIX      its internet address, with gw=ADDRESS the gateway; the domain asks for one without it",
            "rate=250KB/s           most that the domain may send; 10Mb/s and 1MB/s@20ms are rates, too",
            "permit=1               it may send from other addresses than its own",
        ],
        run: network::attach,
    },
    Command {
        names: &["network-detach"],
        takes: "[--force] NAME|ID NUMBER|MAC",
        does: "Takes a network interface from a domain",
        more: &["--force does not wait for the domain to let go of it."],
        run: network::detach,
    },
    Command {
        names: &["network-list"],
        takes: "[--counters] [NAME|ID...]",
        does: "Lists the network interfaces of domains",
        more: &[
            "How much went through them is in /proc/net/dev, as vifID.NUMBER.",
            "--counters shows how many frames, and how much left of others' while those of this domain waited.",
            "--counters shows what the backend has done, too: requests, those refused, frames, calls that copy, events sent.",
        ],
        run: network::list,
    },
    Command {
        names: &["network-rate"],
        takes: "NAME|ID [NUMBER] RATE|none",
        does: "Limits what a domain may send",
        more: &["RATE is a number of KB/s, or as for network-attach."],
        run: network::rate,
    },
    Command {
        names: &["network-restart"],
        takes: "[--kills COUNT] NAME|ID [NUMBER] [STEPS]",
        does: "Ends the backend of a network interface and begins another one",
        more: &[
            "After STEPS steps of its work, for tests.",
            "--kills COUNT ends so many: after the first step of each kind, after the second, and so on.",
        ],
        run: network::restart,
    },
    Command {
        names: &["pci-list"],
        takes: "",
        does: "Lists PCI functions and the domains that have them",
        more: &["dma: the function may write to memory by itself."],
        run: pci::list,
    },
    Command {
        names: &["top"],
        takes: "[-n COUNT] [-d SECONDS] [-b] [--json]",
        does: "Shows who uses processor and memory, again and again; q leaves",
        more: &[
            "-n COUNT    so many times (once, where the output is no terminal)",
            "-d SECONDS  time between two looks, 1 if not given",
            "-b          plain, one look below the other",
        ],
        run: top::top,
    },
    Command {
        names: &["sched"],
        takes: "[--json] [NAME|ID [OPTION...]] [--slice US]",
        does: "Shows the scheduler and each domain's parameters, or sets them",
        more: &[
            "The policy is the hypervisor's argument sched=; round robin has no parameters for a domain.",
        ],
        run: sched::sched,
    },
    Command {
        names: &["dmesg"],
        takes: "[--clear|-c]",
        does: "Prints the hypervisor's log",
        more: &[],
        run: dmesg::dmesg,
    },
    Command {
        names: &["mem-set"],
        takes: "NAME|ID SIZE",
        does: "Asks a domain to shrink or to grow to SIZE",
        more: &[],
        run: requests::mem_set,
    },
    Command {
        names: &["mem-max"],
        takes: "NAME|ID SIZE",
        does: "Sets how much memory a domain may have",
        more: &[],
        run: requests::mem_max,
    },
    Command {
        names: &["uptime"],
        takes: "[--json] [NAME|ID...]",
        does: "Shows how long domains have been there",
        more: &[],
        run: listing::uptime,
    },
    Command {
        names: &["domid"],
        takes: "NAME",
        does: "Prints a domain's number",
        more: &[],
        run: listing::domid,
    },
    Command {
        names: &["domname"],
        takes: "ID",
        does: "Prints a domain's name",
        more: &[],
        run: listing::domname,
    },
    Command {
        names: &["rename"],
        takes: "NAME|ID NEW-NAME",
        does: "Gives a domain another name",
        more: &[],
        run: life::rename,
    },
    Command {
        names: &["autostart"],
        takes: "",
        does: "Creates the domains of /etc/xen/auto and starts the daemon, as at boot",
        more: &["The word autostart=no on Domain0's kernel line keeps it from doing anything."],
        run: daemon::autostart,
    },
    Command {
        names: &["daemon"],
        takes: "[--foreground]",
        does: "Waits for domains to end and does what their settings say",
        more: &["Its log is /run/xen/daemon.log."],
        run: daemon::command,
    },
];

/// The command of that name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.names.contains(&name))
}

/// All commands, a line each.
pub fn overview() -> String {
    let mut text =
        String::from("usage: xl COMMAND [ARGUMENT...]; most commands can be called by their names alone\n");
    for command in COMMANDS {
        text += &format!("  {:<10} {}\n", command.names[0], command.does);
    }
    text += "`xl help COMMAND` or `COMMAND --help` says more.\n";
    text
}

/// `xl help [COMMAND]`.
pub fn show(words: &[&str]) -> i32 {
    let Some(name) = words.first() else {
        print!("{}", overview());
        return 0;
    };
    match find(name) {
        Some(command) => {
            print!("{}", command.usage());
            0
        }
        None => {
            eprintln!("xl: there is no command `{name}`");
            2
        }
    }
}
