//! Bochs: the emulator that checks segment limits, which QEMU does not.
//!
//! Headless: its display is a text terminal made by script(1), and thrown away; the serial port is a connection to the launcher. Debian's build is the debugger build and wants to be told to continue. Bochs has no exit device, so the verdict
//! is the last line of the log; the hypervisor stops it by writing "Shutdown" to port 0x8900.

use crate::boot_image::BootImage;
use crate::iso::{self, Menu};
use crate::machine::{Machine, Running};
use crate::status::{Ending, Verdict};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Starts `machine` under Bochs.
///
/// # Errors
/// A missing tool, or an image that cannot be made.
pub fn start(machine: &Machine, image: &BootImage, work: &Path) -> Result<Running> {
    tools::require(&[Tool::Bochs, Tool::BochsBios, Tool::VgaBios, Tool::Script])?;
    ensure!(
        machine.disks.len() <= 2,
        "Bochs has room for two disks beside the boot image"
    );
    iso::make(image, Menu::Immediate, &work.join("boot.iso"))?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for the serial line")?;
    fs::write(
        work.join("bochsrc"),
        config(machine, listener.local_addr()?.port())?,
    )
    .context("cannot write Bochs's configuration")?;
    fs::write(work.join("bochs.rc"), "c\nquit\n").context("cannot write Bochs's commands")?;
    let mut command = Command::new(tools::find_program(&["script"]).context("no script(1)")?);
    command
        .args(["-qefc", "exec bochs -q -f bochsrc -rc bochs.rc", "/dev/null"])
        .env("TERM", "xterm")
        .current_dir(work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    crate::qemu::die_with_parent(&mut command);
    let mut child = command.spawn().context("cannot start Bochs")?;
    let complaints = child.stderr.take().map(|pipe| Box::new(pipe) as Box<_>);
    let (output, input): (Box<dyn Read + Send>, Option<Box<dyn Write + Send>>) = if machine.has_serial {
        let line = accept(&listener, &mut child)?;
        (Box::new(line.try_clone()?), Some(Box::new(line)))
    } else {
        (Box::new(std::io::empty()), None)
    };
    Ok(Running {
        child,
        output,
        input,
        complaints,
        monitor: None,
        interpret,
    })
}

/// Waits until Bochs connects the serial port, which it does before the machine starts.
fn accept(listener: &TcpListener, child: &mut Child) -> Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(60);
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((line, _)) => {
                line.set_nonblocking(false)?;
                // Keys are single bytes.
                line.set_nodelay(true)?;
                return Ok(line);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Err(error).context("the serial line");
            }
            Err(_) => {}
        }
        if let Some(status) = child.try_wait()? {
            bail!("Bochs did not start: {status}");
        }
        if Instant::now() > deadline {
            // An error means that it ended in this moment.
            let _ = child.kill();
            bail!("Bochs does not connect its serial port");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The configuration file.
fn config(machine: &Machine, port: u16) -> Result<String> {
    let bios = tools::bochs_bios().context("no BIOS for Bochs")?;
    let vga = tools::bochs_vga_bios().context("no VGA BIOS for Bochs")?;
    let serial = if machine.has_serial {
        format!("com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}\n")
    } else {
        "com1: enabled=0\n".into()
    };
    let mut text = format!(
        "display_library: term\n\
         megs: {}\n\
         cpu: model=corei7_icelake_u, count=1, ips=100000000, reset_on_triple_fault=0\n\
         romimage: file={}\n\
         vgaromimage: file={}\n\
         {serial}\
         ata0: enabled=1\n\
         ata1: enabled=1\n\
         ata1-master: type=cdrom, path=boot.iso, status=inserted\n\
         boot: cdrom\n\
         clock: sync=none\n\
         log: bochs.log\n\
         panic: action=fatal\n\
         error: action=report\n\
         info: action=ignore\n",
        machine.mem_mib,
        bios.display(),
        vga.display()
    );
    for (disk, unit) in machine.disks.iter().zip(["master", "slave"]) {
        text += &format!(
            "ata0-{unit}: type=disk, path=\"{}\", mode=flat\n",
            disk.path.display()
        );
    }
    Ok(text)
}

/// Bochs's own exit status says nothing about the guest.
fn interpret(status: ExitStatus, announced: Option<Verdict>, complaints: &str) -> Ending {
    match announced {
        Some(verdict) => Ending::Verdict(verdict),
        None => Ending::Died(
            format!("Bochs, {status} {}", complaints.trim())
                .trim_end()
                .to_string(),
        ),
    }
}
