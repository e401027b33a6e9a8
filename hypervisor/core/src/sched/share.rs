//! What a policy keeps of one domain: what the domain has used, and what it was given.

/// What Domain0 sets for a domain under borrowed virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BvtParams {
    /// Virtual time added per MCU (100 µs) that it runs: the inverse of its weight. Not 0.
    pub mcu_advance: u32,
    /// Whether it may warp.
    pub may_warp: bool,
    /// How much earlier it counts while it warps: virtual time as of `mcu_advance`.
    pub warp_value: u32,
    /// How long it may run warped without waiting for an event in between, in ns; 0: without limit.
    pub warp_limit_ns: u64,
    /// How long it is then not warped, in ns; 0: for good.
    pub unwarp_ns: u64,
}

impl BvtParams {
    /// Those of a new domain.
    pub const DEFAULT: Self = Self {
        mcu_advance: 10,
        may_warp: false,
        warp_value: 0,
        warp_limit_ns: 2_000_000_000,
        unwarp_ns: 1_000_000_000,
    };
}

/// The policy's part of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Actual virtual time, in ns · `mcu_advance` · 2^[`Share::FRACTION_BITS`] from [`Share::BEGINNING`].
    pub avt: u128,
    /// Its parameters.
    pub params: BvtParams,
    /// How long it ran warped since it last waited, in ns.
    pub warped_ns: u64,
    /// It does not warp before.
    pub unwarped_until_ns: u64,
}

impl Share {
    /// Virtual time begins here, so that warping never leads below 0: the greatest warp is below 2^49.
    pub const BEGINNING: u128 = 1 << 64 << Self::FRACTION_BITS;
    /// The lowest bits of virtual times are 0: the order among equals has room there.
    pub const FRACTION_BITS: u32 = 30;

    /// A domain that has used nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            avt: Self::BEGINNING,
            params: BvtParams::DEFAULT,
            warped_ns: 0,
            unwarped_until_ns: 0,
        }
    }

    /// Its virtual time as milliseconds that a domain of the default weight would have run, to be shown.
    #[must_use]
    pub const fn virtual_ms(&self) -> u64 {
        const UNIT: u128 = (BvtParams::DEFAULT.mcu_advance as u128 * 1_000_000) << Share::FRACTION_BITS;
        (self.avt.saturating_sub(Self::BEGINNING) / UNIT) as u64
    }

    /// Gives it other parameters; it then may warp at once, if at all.
    pub const fn set_params(&mut self, params: BvtParams) {
        self.params = params;
        self.warped_ns = 0;
        self.unwarped_until_ns = 0;
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}
