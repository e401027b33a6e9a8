//! Registers of the family, and the bits that the driver knows.
//!
//! Source: Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, chapter 13; 82574 GbE Controller
//! Family Datasheet, chapter 10.

/// Device control.
pub const CTRL: usize = 0x0000;
/// CTRL: let the PHY decide speed and duplex; the link is up where the PHY says so.
pub const CTRL_ASDE: u32 = 1 << 5;
pub const CTRL_SLU: u32 = 1 << 6;
/// CTRL: reset of the link, inverted loss of signal, VLAN tags taken off, reset of the PHY: none is wanted.
pub const CTRL_UNWANTED: u32 = 1 << 3 | 1 << 7 | 1 << 30 | 1 << 31;
/// CTRL: reset.
pub const CTRL_RST: u32 = 1 << 26;

/// Device status.
pub const STATUS: usize = 0x0008;
/// STATUS: the link is up.
pub const STATUS_LU: u32 = 1 << 1;

/// EEPROM read.
pub const EERD: usize = 0x0014;
/// EERD: go.
pub const EERD_START: u32 = 1 << 0;

/// Flow control: the address and type of its frames, and how long they hold the other side off.
pub const FLOW_CONTROL: [usize; 4] = [0x0028, 0x002C, 0x0030, 0x0170];

/// Interrupt causes; reading takes them.
pub const ICR: usize = 0x00C0;
/// Least time between interrupts; 0 is none.
pub const ITR: usize = 0x00C4;
/// Causes that interrupt: set, and clear.
pub const IMS: usize = 0x00D0;
pub const IMC: usize = 0x00D8;
/// A descriptor was sent and written back.
pub const CAUSE_TXDW: u32 = 1 << 0;
/// The link has changed.
pub const CAUSE_LSC: u32 = 1 << 2;
/// Frames were lost since there was no descriptor.
pub const CAUSE_RXO: u32 = 1 << 6;
/// A frame came in.
pub const CAUSE_RXT0: u32 = 1 << 7;

/// Receive control.
pub const RCTL: usize = 0x0100;
/// RCTL: on; all addresses, all groups, broadcasts; the check sequence is taken off. Buffers have 2048 bytes where nothing else is said.
pub const RCTL_EN: u32 = 1 << 1;
pub const RCTL_UPE: u32 = 1 << 3;
pub const RCTL_MPE: u32 = 1 << 4;
pub const RCTL_BAM: u32 = 1 << 15;
pub const RCTL_SECRC: u32 = 1 << 26;

/// Transmit control.
pub const TCTL: usize = 0x0400;
/// TCTL: on; short frames are padded; where collisions count.
pub const TCTL_EN: u32 = 1 << 1;
pub const TCTL_PSP: u32 = 1 << 3;
pub const TCTL_COLLISIONS: u32 = 0x0F << 4 | 0x40 << 12;
/// TCTL: the fields of [`TCTL_COLLISIONS`].
pub const TCTL_COLLISIONS_MASK: u32 = 0xFF << 4 | 0x3FF << 12;
/// Gaps between frames, and the values for copper.
pub const TIPG: usize = 0x0410;
pub const TIPG_COPPER: u32 = 8 | 8 << 10 | 6 << 20;

/// Registers of the rings of descriptors: those for receiving begin at the first address, those for sending at the other.
pub const RECEIVE_RING: usize = 0x2800;
pub const TRANSMIT_RING: usize = 0x3800;
/// In these: the table's address, its bytes, the descriptor that is the card's next, and the first that it does not have.
pub const BASE_LOW: usize = 0x00;
pub const BASE_HIGH: usize = 0x04;
pub const LENGTH: usize = 0x08;
pub const HEAD: usize = 0x10;
pub const TAIL: usize = 0x18;
/// How long an interrupt for a frame that came in is put off.
pub const RDTR: usize = 0x2820;
/// How descriptors for sending are read and written back.
pub const TXDCTL: usize = 0x3828;
/// TXDCTL: a bit that the 82574 wants set.
pub const TXDCTL_COUNT: u32 = 1 << 22;

/// Frames lost since there was no descriptor; reading takes the count.
pub const MPC: usize = 0x4010;

/// The table of groups, which is not used: all are received.
pub const MTA: usize = 0x5200;
pub const MTA_WORDS: usize = 128;
/// The card's address, and that it is one.
pub const RAL: usize = 0x5400;
pub const RAH: usize = 0x5404;
pub const RAH_AV: u32 = 1 << 31;

/// What a card that is gone reads as.
pub const GONE: u32 = u32::MAX;
