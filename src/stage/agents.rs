//! What a client says it is (`User-Agent`), as far as it tells a person from a script.

use super::bodies::lower;
use crate::feature::differs_by_one;

/// How agents of scripts begin, in lower case and in order.
const SCRIPTS: &[&str] = &[
    "aiohttp",
    "aria2",
    "autoit",
    "axios",
    "certutil",
    "curl",
    "fetch libfetch",
    "go-http-client",
    "java/",
    "jakarta commons-httpclient",
    "lftp",
    "libcurl",
    "libwww-perl",
    "lwp",
    "node-fetch",
    "perl",
    "php",
    "powershell",
    "python",
    "ruby",
    "wget",
    "winhttp",
];

/// Words that tell a script wherever they stand: PowerShell begins as browsers do.
const WORDS: &[&str] = &["powershell", "python-requests", "winhttprequest"];

/// The word that browsers begin with.
const BROWSER: &[u8] = b"mozilla";

/// Whether a client calls itself almost as browsers do: `Modzilla/0.0001`. Who writes a client by
/// hand mistypes what he never reads.
pub(super) fn is_misspelt(agent: &[u8]) -> bool {
    let end = agent.iter().position(|byte| !byte.is_ascii_alphanumeric());
    let product = &agent[..end.unwrap_or(agent.len())];
    (BROWSER.len() - 1..=BROWSER.len() + 1).contains(&product.len())
        && !product.eq_ignore_ascii_case(BROWSER)
        && differs_by_one(&product.to_ascii_lowercase(), BROWSER)
}

/// Whether a client is no browser and does not say to be another program of a person either: it
/// says nothing, is a tool by which scripts fetch, or misspells what it says.
pub(super) fn is_scripted(agent: &[u8]) -> bool {
    let small = lower(agent.trim_ascii());
    matches!(small.as_slice(), b"" | b"-")
        || SCRIPTS.iter().any(|script| small.starts_with(script.as_bytes()))
        || WORDS.iter().any(|word| memchr::memmem::find(&small, word.as_bytes()).is_some())
        || is_misspelt(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks() {
        let powershell =
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.16299.98";
        for agent in ["", " - ", "curl/7.58.0", "Wget/1.21", powershell, "PYTHON-requests/2"] {
            assert!(is_scripted(agent.as_bytes()) && !is_misspelt(agent.as_bytes()), "{agent}");
        }
        for agent in ["Modzilla/0.0001 (Atari 7800)", "Mozila/4.0", "Mozlila/5.0 (Linux)"] {
            assert!(is_scripted(agent.as_bytes()) && is_misspelt(agent.as_bytes()), "{agent}");
        }
        for agent in [
            "Mozilla/5.0 (X11; Linux x86_64)",
            "MOZILLA",
            "Microsoft-CryptoAPI/10.0",
            "Debian APT-HTTP/1.3 (2.0.9) non-interactive",
            "Godzilla/1",
            "\u{fffd}",
        ] {
            assert!(!is_scripted(agent.as_bytes()), "{agent}");
        }
    }
}
