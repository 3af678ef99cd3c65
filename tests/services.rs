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
