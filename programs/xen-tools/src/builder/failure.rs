//! Why a domain could not be built, in the words that its maker reads.

use core::fmt;

use guest_abi::start_info::CommandLineError;
use guest_image::error::ImageError;
use guest_image::layout::LayoutError;

use crate::errno::Errno;

/// What was being done when the hypervisor or the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words below say it")]
pub enum Step {
    Create,
    Inspect,
    List,
    Load,
    Console,
    Store,
    Addresses,
    Pin,
    Limit,
    Weight,
    Assist,
    Start,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating the domain",
            Self::Inspect => "asking about the new domain",
            Self::List => "listing its memory",
            Self::Load => "writing its memory",
            Self::Console => "attaching its console",
            Self::Store => "telling the store of it",
            Self::Addresses => "setting its machine-to-phys entries",
            Self::Pin => "validating its page tables",
            Self::Limit => "setting its memory limit",
            Self::Weight => "setting its weight (sched=rrobin has none)",
            Self::Assist => "switching on writable page tables",
            Self::Start => "setting its first context",
        })
    }
}

/// Why there is no domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel is no kernel for this hypervisor.
    Image(ImageError),
    /// Kernel, file system and tables do not fit.
    Layout(LayoutError),
    /// The command line cannot be passed on.
    CommandLine(CommandLineError),
    /// The initial file system has 4 GB or more.
    RamdiskTooLarge,
    /// The machine has not enough free memory.
    NoMemory {
        /// What the domain was to have.
        wanted_kib: u64,
        /// What there is, where the hypervisor says.
        free_kib: Option<u64>,
    },
    /// The hypervisor gave fewer frames than were asked for.
    ShortMemory,
    /// A step was refused.
    Refused(Step, Errno),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Layout(error @ LayoutError::NotEnoughMemory { .. }) => {
                write!(f, "{error}: give it more by --memory")
            }
            Self::Layout(error) => error.fmt(f),
            Self::CommandLine(error) => error.fmt(f),
            Self::RamdiskTooLarge => f.write_str("the initial file system has 4 GB or more"),
            Self::NoMemory {
                wanted_kib,
                free_kib: Some(free),
            } => write!(
                f,
                "not enough free memory: {wanted_kib} KiB wanted, {free} KiB free; destroy a domain, or shrink one by mem-set"
            ),
            Self::NoMemory { wanted_kib, .. } => write!(f, "not enough free memory: {wanted_kib} KiB wanted"),
            Self::ShortMemory => {
                f.write_str("the hypervisor lists less memory than the domain was created with")
            }
            Self::Refused(step, errno) => write!(f, "{step}: {errno}"),
        }
    }
}

impl core::error::Error for Failure {}
