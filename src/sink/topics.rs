//! The topics of the Kafka sink as an operator sees them: what is there, and making what is not.
//! For commands; the daemon itself makes no topic.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;

use super::kafka::{Settings, configured, topic_names};
use super::network::CannotConfigure;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why brokers could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CannotAsk {
    /// No client can be made of the configuration.
    #[error(transparent)]
    Configure(#[from] CannotConfigure),
    /// Nobody answers, or not in Kafka's protocol.
    #[error(
        "no Kafka broker answers at {0}: {1}; is one there, is the port its client port, and does it \
         speak without TLS, or as sink.kafka.options say?"
    )]
    Silent(String, KafkaError),
    /// They answer with an error.
    #[error("the Kafka broker at {0} says: {1}")]
    Refused(String, String),
}

/// A topic of this sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Whether only the latest record of each key is to be kept.
    pub is_compacted: bool,
    /// Its partitions, where it is there.
    pub partitions: Option<usize>,
    /// What `cleanup.policy` is, where it is there and may be asked for.
    pub cleanup: Option<String>,
    /// What `retention.ms` is, likewise.
    pub retention: Option<String>,
}

/// Asks the brokers of `settings` for the topics of this sink: events, alerts, risk.
///
/// # Errors
/// When nobody answers.
pub fn topics(settings: &Settings) -> Result<Vec<Topic>, CannotAsk> {
    let client = client(settings)?;
    let here = || settings.brokers.join(",");
    let metadata = client.inner().fetch_metadata(None, PATIENCE);
    let metadata = metadata.map_err(|error| CannotAsk::Silent(here(), error))?;
    let mut topics = Vec::new();
    for (name, is_compacted) in topic_names(settings) {
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        let partitions = found.map(|topic| topic.partitions().len());
        let [cleanup, retention] = match partitions {
            Some(_) => asked(&client, &name, ["cleanup.policy", "retention.ms"]),
            None => [None, None],
        };
        topics.push(Topic { name, is_compacted, partitions, cleanup, retention });
    }
    Ok(topics)
}

/// Settings of a topic; nothing where they may not be asked for.
fn asked<const N: usize>(
    client: &AdminClient<DefaultClientContext>,
    name: &str,
    settings: [&str; N],
) -> [Option<String>; N] {
    let asked = [ResourceSpecifier::Topic(name)];
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let found = wait(client.describe_configs(&asked, &options)).and_then(Result::ok);
    let found = found.and_then(|found| found.into_iter().next()?.ok());
    settings.map(|name| found.as_ref()?.get(name)?.value.clone())
}

/// Makes those of `topics` that are not there.
///
/// # Errors
/// What the brokers say against it.
pub fn make(settings: &Settings, topics: &[Topic]) -> Result<(), CannotAsk> {
    let client = client(settings)?;
    let refused = |why: String| CannotAsk::Refused(settings.brokers.join(","), why);
    let retention = settings.retention.map(|retention| retention.to_string());
    let missing = topics.iter().filter(|topic| topic.partitions.is_none());
    let missing: Vec<NewTopic<'_>> = missing
        .map(|topic| {
            let replication = TopicReplication::Fixed(settings.replication);
            let new = NewTopic::new(&topic.name, settings.partitions, replication);
            match &retention {
                _ if topic.is_compacted => new.set("cleanup.policy", "compact"),
                Some(retention) => new.set("retention.ms", retention),
                None => new,
            }
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let options = options.operation_timeout(Some(PATIENCE));
    let made = wait(client.create_topics(&missing, &options));
    let made = made.ok_or_else(|| refused("no runtime".to_owned()))?;
    let made = made.map_err(|error| refused(error.to_string()))?;
    for result in made {
        use rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists;
        match result {
            Ok(_) | Err((_, TopicAlreadyExists)) => {}
            Err((name, error)) => return Err(refused(format!("{name}: {error}"))),
        }
    }
    Ok(())
}

fn client(settings: &Settings) -> Result<AdminClient<DefaultClientContext>, CannotAsk> {
    let client = configured(settings)?.create();
    Ok(client.map_err(|error| CannotConfigure::Option(format!("sink.kafka: {error}")))?)
}

/// Waits for what a client does on its own thread.
fn wait<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    Some(runtime.block_on(future))
}
