//! Floor 7: why a score is what it is: from what a replay or a daemon wrote, down to the lines of
//! the logs.
//!
//! Everything that is read here may have been changed by anybody: it is read with bounds, and what
//! makes no sense is passed over. Not here: what the state says (`engine`, `wiring`), the arguments
//! the terminal and the exit codes (`cli`).

mod lines;
mod outputs;
mod parse;

pub use lines::{Logs, event_alone, read_lines};
pub use outputs::Outputs;
pub use parse::explanation as parse_explanation;

use crate::base::address::Addr;
use crate::base::hash::Id;
use crate::record::{Entity, Scope};

/// What somebody wants to have explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An entity.
    Entity(Entity),
    /// An alert, a risk document or an event.
    Id(Id),
}

impl Asked {
    /// What `text` names: 32 hex digits, `host:` or `user:` with what comes after it, or an
    /// address. With `by_64`, hosts are networks of IPv6.
    #[must_use]
    pub fn parse(text: &str, scope: &Scope, by_64: bool) -> Option<Self> {
        if let Some(name) = text.strip_prefix("user:") {
            return Entity::user(name.as_bytes()).map(Self::Entity);
        }
        if let Some(id) = Id::parse(text) {
            return Some(Self::Id(id));
        }
        let host = text.strip_prefix("host:").unwrap_or(text);
        let host = match scope {
            Scope::Sensor(sensor) => host.strip_suffix(&format!("@{sensor}")).unwrap_or(host),
            Scope::Network => host,
        };
        let addr = Addr::parse(host.as_bytes())?;
        Some(Self::Entity(Entity::Host(if by_64 { addr.network_64() } else { addr })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_id_of_a_user_names_that_user(name in r"[aA@ \\]{0,12}|.{0,300}") {
            if let Some(user) = Entity::user(name.as_bytes()) {
                for scope in [Scope::Network, Scope::Sensor("s1".into())] {
                    let asked = Asked::parse(&user.id(&scope), &scope, false);
                    prop_assert_eq!(asked, Some(Asked::Entity(user.clone())));
                }
            }
        }
    }

    #[test]
    fn who_is_meant() {
        let sensor = Scope::Sensor("s@1".into());
        let check = |text: &str, scope: &Scope, by_64: bool, expected: Option<&str>| {
            let found = Asked::parse(text, scope, by_64).map(|asked| match asked {
                Asked::Entity(entity) => entity.id(scope),
                Asked::Id(id) => id.to_string(),
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        let hex = "0123456789abcdef0123456789abcdef";
        check("10.0.0.5", &Scope::Network, false, Some("host:10.0.0.5"));
        check("host:::ffff:10.0.0.5", &Scope::Network, true, Some("host:10.0.0.5"));
        check("fd00::1:2:3:4", &Scope::Network, true, Some("host:fd00::"));
        check("10.0.0.5", &sensor, false, Some("host:10.0.0.5@s@1"));
        check("host:10.0.0.5@s@1", &sensor, false, Some("host:10.0.0.5@s@1"));
        check("host:10.0.0.5@other", &sensor, false, None);
        check("host:10.0.0.5@s@1", &Scope::Network, false, None);
        check("user:CORP\\Alice", &sensor, false, Some("user:alice@corp"));
        check(hex, &Scope::Network, false, Some(hex));
        check(&hex.to_uppercase(), &Scope::Network, false, Some(hex));
        check(&format!("user:{hex}"), &Scope::Network, false, Some(&format!("user:{hex}")));
        for text in ["", "user:", "host:", "alice", "10.0.0", "\u{1b}[31m", &"9".repeat(1 << 20)] {
            check(text, &Scope::Network, false, None);
        }
    }
}
