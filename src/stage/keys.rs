//! The keys that the table of every stage begins with: `enabled`, `weight`, `alert`, `half_life`;
//! and those that several have.
//!
//! Not here: the keys that a stage has for itself.

use crate::base::keys::{KeyDef, Kind, Settings};
use crate::base::time::{DAY, MINUTE};

/// `enabled`, which says what the stage does.
pub(super) const fn enabled(doc: &'static str) -> KeyDef {
    KeyDef { name: "enabled", kind: Kind::Flag, default: Some("true"), example: "", doc }
}

/// `weight`, in points.
pub(super) const fn weight(default: &'static str) -> KeyDef {
    KeyDef {
        name: "weight",
        kind: Kind::Real { min: 0.0, max: 100.0 },
        default: Some(default),
        example: "",
        doc: "points that a certain finding adds to the risk of an entity",
    }
}

/// `alert`.
pub(super) const fn alert(default: &'static str) -> KeyDef {
    KeyDef {
        name: "alert",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: Some(default),
        example: "",
        doc: "score from which a finding is an alert",
    }
}

/// What `alert` is set to, in parts per million; at least one, since with nothing said there is
/// nothing suspicious.
pub(super) fn alert_from(settings: &Settings) -> u32 {
    ((settings.real("alert") * 1e6).round() as u32).max(1)
}

/// `half_life`.
pub(super) const HALF_LIFE: KeyDef = KeyDef {
    name: "half_life",
    kind: Kind::Duration { min_us: MINUTE, max_us: 3650 * DAY },
    default: None,
    example: r#""24h""#,
    doc: "time in which what it found falls to a half, where it is not risk.half_life",
};

/// `local`, which `names` reads.
pub(super) const LOCAL: KeyDef = KeyDef {
    name: "local",
    kind: Kind::TextList,
    default: Some("[]"),
    example: "",
    doc: "domains whose names are ours, and neither scored nor counted",
};
