//! Tests with input that no user would write: unreadable, endless, random.
//!
//! Here belongs what must not panic or take long. Wording of mistakes belongs to `tests`.

use super::tests::{STAGES, shown};
use super::{load, resolve};

#[test]
fn files() {
    let dir = std::env::temp_dir().join(format!("zeek-ueba-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("pipeline.toml");
    let loaded = || match load(Some(&file), &[], STAGES) {
        Ok(plan) => plan.sensor_id,
        Err(mistakes) => shown(&mistakes).replace(&file.display().to_string(), "FILE"),
    };
    assert!(loaded().starts_with("FILE: cannot be read: No such file"), "{}", loaded());
    std::fs::write(&file, "sensor.id = \"é\"\n").unwrap();
    assert_eq!(loaded(), "é");
    std::fs::write(&file, b"sensor.id = \"\xc3\xa9\"\n#\xc3\xa9\xff").unwrap();
    assert_eq!(loaded(), "FILE:2:3: not UTF-8 from here on\n");
    std::fs::write(&file, " ".repeat(1024 * 1024)).unwrap();
    assert_eq!(loaded(), "sensor-1");
    std::fs::write(&file, " ".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(loaded(), "FILE: cannot be read: larger than 1048576 bytes\n");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(loaded(), "FILE: cannot be read: not a regular file\n");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn mistakes_are_bounded() {
    let text = "x = 1\n".repeat(500);
    let mistakes = resolve(&text, "f", &[], STAGES).unwrap_err();
    assert_eq!(mistakes.len(), 101);
    let last = mistakes.last().map(ToString::to_string);
    assert_eq!(last.as_deref(), Some("f: more than 100 mistakes, the rest is not shown"));
    let text = format!("sensor.internal = [{}]", "1,".repeat(200_000));
    assert_eq!(resolve(&text, "f", &[], STAGES).unwrap_err().len(), 101);
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn no_text_panics() {
    const SHIPPED: &str = include_str!("../../pipeline.toml");
    const PIECES: &[&str] = &[
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\"",
        "'",
        "'''",
        "\"\"\"",
        "#",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\0",
        "\u{feff}",
        "é",
        "sensor",
        "id",
        "internal",
        "stage",
        "source",
        "alias",
        "long-connection",
        "weight",
        "0",
        "-1",
        "1e999",
        "nan",
        "99999999999999999999",
        "\"5m\"",
        "true",
        "1979-05-27",
        "0xff",
        "\\u0000",
        "\"10.0.0.0/8\"",
        "_",
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for round in 0..4_000 {
        text.clear();
        if round % 4 == 0 {
            let mut bytes = SHIPPED.as_bytes().to_vec();
            for _ in 0..=dice.roll(8) {
                let at = dice.roll(bytes.len());
                bytes[at] = dice.roll(256) as u8;
            }
            text.push_str(&String::from_utf8_lossy(&bytes));
        } else if round % 4 == 1 {
            let bytes: Vec<u8> = (0..dice.roll(64)).map(|_| dice.roll(256) as u8).collect();
            text.push_str(&String::from_utf8_lossy(&bytes));
        } else {
            for _ in 0..dice.roll(40) {
                text.push_str(PIECES[dice.roll(PIECES.len())]);
            }
        }
        for (file, set) in [(text.as_str(), "risk.half_life=1h"), ("", text.as_str())] {
            if let Err(mistakes) = resolve(file, "f", &[set.to_owned()], STAGES) {
                assert!(!mistakes.is_empty());
                assert!(shown(&mistakes).lines().all(|line| !line.contains('\0')), "{text:?}");
            }
        }
    }
}

#[test]
fn no_depth_overflows() {
    for deep in ["a.", "[", "{a=", "[[a.", "a={b.", "[a].\n"] {
        let text = deep.repeat(100_000);
        assert!(resolve(&text, "f", &[], STAGES).is_err(), "{deep}");
        assert!(resolve("", "f", &[format!("a={text}")], STAGES).is_err(), "{deep}");
        assert!(resolve("", "f", &[format!("{text}=1")], STAGES).is_err(), "{deep}");
    }
}
