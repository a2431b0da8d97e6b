//! Enumerations of the wire as those of the domain: one line for each value, both ways.

/// Defines how an enumeration of the domain travels. A number that this release does not know is refused: it must not be
/// taken for another.
macro_rules! travels {
    ($domain:ident as $wire:path, $field:literal, $($value:ident),+ $(,)?) => {
        impl $domain {
            pub(super) const fn to_wire(self) -> i32 {
                match self {
                    $(Self::$value => <$wire>::$value as i32,)+
                }
            }

            pub(super) fn from_wire(number: i32) -> Result<Self, chronos_domain::Invalid> {
                match <$wire>::try_from(number) {
                    $(Ok(<$wire>::$value) => Ok(Self::$value),)+
                    Ok(<$wire>::Unspecified) | Err(_) => {
                        let reason = format!("is {number}, which this release does not know");
                        Err(chronos_domain::Invalid::new($field, reason))
                    }
                }
            }

            /// Every value, in the order of the wire.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];
        }
    };
}

pub(super) use travels;
