//! The real servers that tests run against: `make test` starts and stops them.

/// Where the broker is.
pub(crate) fn kafka() -> String {
    std::env::var("KAFKA_BOOTSTRAP").unwrap_or_else(|_| {
        panic!(
            "KAFKA_BOOTSTRAP does not say where a Kafka broker is: `make test` starts one for its \
             tests, `make services` starts one that stays and prints the variable"
        )
    })
}

/// Where the search engine is.
pub(crate) fn search() -> String {
    std::env::var("SEARCH_URL").unwrap_or_else(|_| {
        panic!(
            "SEARCH_URL does not say where a search engine is: `make test` starts one for its \
             tests, `make services` starts one that stays and prints the variable"
        )
    })
}

/// A search engine that wants to know who it speaks to, over TLS.
pub(crate) struct Secured {
    pub(crate) url: String,
    pub(crate) ca: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The secured one; OpenSearch is tested without.
pub(crate) fn secured() -> Option<Secured> {
    let get = |name: &str| std::env::var(format!("SEARCH_SECURE_{name}"));
    let Ok(url) = get("URL") else {
        let engine = std::env::var("ENGINE").unwrap_or_default();
        assert_eq!(engine, "opensearch", "SEARCH_SECURE_URL is not set: `make test` sets it");
        return None;
    };
    let get = |name: &str| get(name).unwrap();
    Some(Secured { url, ca: get("CA"), user: get("USER"), password: get("PASSWORD") })
}
