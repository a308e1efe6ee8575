//! SQS's event, translated: what the mapping hands over into messages, and the verdicts into its answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use shepard_cloud::ports::Message;

use crate::fault::Fault;

/// What one event holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// ARN of the queue; empty where there is no message.
    pub(crate) queue_arn: String,
    /// The messages.
    pub(crate) messages: Vec<Message>,
    /// Their ids, in the same order: what the answer names.
    pub(crate) ids: Vec<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: Attributes,
    #[serde(rename = "eventSourceARN")]
    queue_arn: String,
}

#[derive(Deserialize, Default)]
struct Attributes {
    #[serde(rename = "ApproximateReceiveCount", default)]
    deliveries: Option<String>,
}

/// Reads an event.
///
/// # Errors
/// It is not SQS's, or not of one queue. The words never repeat the event, which may hold anything.
pub(crate) fn read(payload: &RawValue) -> Result<Delivered, Fault> {
    let Ok(event) = serde_json::from_str::<Event>(payload.get()) else {
        let words =
            "the event is not one of an SQS queue: the scheduler is invoked by an event source mapping";
        return Err(Fault::new("NotAnSqsEvent", words));
    };
    let mut delivered = Delivered::default();
    for record in event.records {
        if !record.queue_arn.starts_with("arn:") || !record.queue_arn.contains(":sqs:") {
            return Err(Fault::new("NotAnSqsEvent", "a record of the event does not come from an SQS queue"));
        }
        if delivered.messages.is_empty() {
            delivered.queue_arn = record.queue_arn;
        } else if delivered.queue_arn != record.queue_arn {
            return Err(Fault::new("NotAnSqsEvent", "the event's records come from more than one queue"));
        }
        let deliveries = record.attributes.deliveries.and_then(|count| count.parse().ok()).unwrap_or(1);
        delivered.messages.push(Message { receipt: record.receipt_handle, body: record.body, deliveries });
        delivered.ids.push(record.message_id);
    }
    Ok(delivered)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: &serde_json::Value) -> Result<Delivered, Fault> {
        super::read(&serde_json::value::to_raw_value(event).expect("JSON"))
    }

    fn record(id: &str, arn: &str) -> serde_json::Value {
        json!({
            "messageId": id, "receiptHandle": format!("r-{id}"), "body": "{}",
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "1" },
            "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": "us-east-1",
        })
    }

    const ARN: &str = "arn:aws:sqs:us-east-1:123456789012:q";

    #[test]
    fn every_record_is_a_message() {
        let found = read(&json!({ "Records": [record("a", ARN), record("b", ARN)] })).expect("messages");
        assert_eq!((found.queue_arn.as_str(), found.ids), (ARN, vec!["a".to_owned(), "b".to_owned()]));
        let message = Message { receipt: "r-b".into(), body: "{}".into(), deliveries: 3 };
        assert_eq!(found.messages[1], message);
        assert_eq!(read(&json!({ "Records": [] })), Ok(Delivered::default()));
    }

    #[test]
    fn what_is_not_of_a_queue_is_refused_without_being_repeated() {
        let s3 = json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "object": { "key": "secret" } } }] });
        for other in [json!({}), json!([]), json!(null), json!("secret"), json!({ "Records": "secret" }), s3]
        {
            let fault = read(&other).expect_err("a fault");
            assert_eq!(fault.kind, "Shepard.NotAnSqsEvent");
            assert!(!fault.message.contains("secret"), "{}", fault.message);
        }
        let sns = json!({ "Records": [record("a", "arn:aws:sns:us-east-1:123456789012:t")] });
        assert!(read(&sns).is_err());
        let two =
            json!({ "Records": [record("a", ARN), record("b", "arn:aws:sqs:us-east-1:123456789012:z")] });
        assert!(read(&two).is_err());
    }
}
