//! The bodies of the queue's messages, read and written: the notification of an upload, as S3 puts it there, and the
//! scheduler's own note of what is left to be submitted.
//!
//! Reading is tolerant of what it does not need and never panics; what names no object is an [`EventProblem`].
//! Nothing here asks whether the object is a job: that is the scheduler's.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::value::RawValue;
use shepard_cloud::ports::ObjectMeta;
use shepard_model::{JobId, ObjectRef};

/// What S3 leaves as it is in a key.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

/// Why a message, or one record of it, names no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventProblem {
    /// Not JSON.
    #[error("the message is not JSON")]
    NotJson,
    /// JSON of another shape.
    #[error("the message is not a notification of an upload")]
    OtherShape,
    /// A record lacks the bucket or the key.
    #[error("a record of the message names no object")]
    NoObject,
}

/// One upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Id of the job it asks for: the same at every delivery.
    pub id: JobId,
    /// Where it lies, with the version to read where the bucket has versions.
    pub object: ObjectRef,
    /// Bytes, if the notification says.
    pub size: Option<u64>,
    /// The key is not text; `object` holds it as it was sent.
    pub bad_key: bool,
}

impl Arrival {
    /// A marker that a console makes for an empty folder; no job.
    pub fn is_placeholder(&self) -> bool {
        self.object.key.ends_with('/') && self.size.unwrap_or(0) == 0
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The uploads it announces.
    pub arrivals: Vec<Arrival>,
    /// Records that name no object.
    pub problems: Vec<EventProblem>,
    /// Records of what is no upload: test events, removals.
    pub ignored: usize,
    /// The scheduler's own note, if it is one.
    pub order: Option<Order>,
}

/// What the scheduler left for later: durable already, and not submitted for want of room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is left.
    pub what: Left,
    /// How often the compute refused it before.
    pub again: u32,
    /// Nobody can have submitted it: whoever left it did not come to try, or was told that it was too fast.
    pub unsent: bool,
}

/// What is left to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// A batch that was made.
    Batch(JobId),
    /// Rows that are jobs of their own.
    Rows(Vec<JobId>),
}

impl Order {
    /// How many submissions it asks for.
    pub(crate) fn jobs(&self) -> u32 {
        match &self.what {
            Left::Batch(_) => 1,
            Left::Rows(ids) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
        }
    }

    /// A name to spread orders by.
    pub(crate) fn name(&self) -> &str {
        match &self.what {
            Left::Batch(id) => id.as_str(),
            Left::Rows(ids) => ids.first().map_or("", JobId::as_str),
        }
    }
}

#[derive(Deserialize)]
struct Body<R> {
    #[serde(rename = "Records")]
    records: Option<Vec<R>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "Shepard")]
    shepard: Option<Note>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    submit: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<String>,
    #[serde(default)]
    again: u32,
    #[serde(default)]
    unsent: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_name: Option<String>,
    #[serde(default)]
    s3: Option<Entity>,
}

#[derive(Serialize, Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Object,
}

#[derive(Serialize, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequencer: Option<String>,
}

/// Reads the body of a message.
///
/// # Errors
/// It is no notification at all. Records that are broken one by one are in [`Event::problems`].
pub fn parse(body: &str) -> Result<Event, EventProblem> {
    // All at once where every record is as S3 writes it, which is always; else each for itself.
    match read::<Record>(body) {
        Ok(body) => event(body, Some),
        Err(EventProblem::NotJson) => Err(EventProblem::NotJson),
        Err(_) => event(read::<&RawValue>(body)?, |record| serde_json::from_str(record.get()).ok()),
    }
}

fn read<'a, R: Deserialize<'a>>(body: &'a str) -> Result<Body<R>, EventProblem> {
    let body: Result<Body<R>, _> = serde_json::from_str(body);
    body.map_err(|problem| match problem.classify() {
        Category::Data => EventProblem::OtherShape,
        Category::Syntax | Category::Eof | Category::Io => EventProblem::NotJson,
    })
}

fn event<R>(body: Body<R>, record: impl Fn(R) -> Option<Record>) -> Result<Event, EventProblem> {
    let mut event = Event::default();
    match (body.records, body.shepard, body.event) {
        (Some(records), _, _) => records.into_iter().for_each(|one| event.take(record(one))),
        (None, Some(note), _) => event.order = Some(order(note).ok_or(EventProblem::OtherShape)?),
        // Sent once, when a bucket is told to notify.
        (None, None, Some(name)) if name == "s3:TestEvent" => event.ignored = 1,
        (None, None, _) => return Err(EventProblem::OtherShape),
    }
    Ok(event)
}

fn order(note: Note) -> Option<Order> {
    let what = match note.submit {
        Some(batch) => Left::Batch(JobId::parse(&batch)?),
        None => Left::Rows(note.rows.iter().map(|id| JobId::parse(id)).collect::<Option<_>>()?),
    };
    Some(Order { what, again: note.again, unsent: note.unsent })
}

/// The body that says what is left.
pub fn note(order: &Order) -> String {
    let (submit, rows) = match &order.what {
        Left::Batch(id) => (Some(id.to_string()), Vec::new()),
        Left::Rows(ids) => (None, ids.iter().map(JobId::to_string).collect()),
    };
    let note = Note { submit, rows, again: order.again, unsent: order.unsent };
    serde_json::json!({ "Shepard": note }).to_string()
}

impl Event {
    fn take(&mut self, record: Option<Record>) {
        let Some(record) = record else {
            self.problems.push(EventProblem::NoObject);
            return;
        };
        let created = |name: &str| name.trim_start_matches("s3:").starts_with("ObjectCreated:");
        if record.event_name.as_deref().is_some_and(|name| !created(name)) {
            self.ignored += 1;
            return;
        }
        match record.s3.filter(|s3| !s3.bucket.name.is_empty() && !s3.object.key.is_empty()) {
            Some(s3) => self.arrivals.push(arrival(s3)),
            None => self.problems.push(EventProblem::NoObject),
        }
    }
}

fn arrival(s3: Entity) -> Arrival {
    let (key, bad_key) = match decode_key(&s3.object.key) {
        Some(key) => (key, false),
        None => (s3.object.key, true),
    };
    let version = s3.object.version_id.filter(|version| !version.is_empty());
    let mut object = ObjectRef::new(s3.bucket.name, key);
    // A sequencer tells two uploads of one key apart and cannot be asked for. So can the version "null" of a
    // bucket whose versions are switched off, the other way round.
    let unique = version.clone().filter(|version| version != "null").or(s3.object.sequencer);
    let mut identity = object.clone();
    identity.version = unique;
    object.version = version;
    Arrival { id: JobId::of_object(&identity), object, size: s3.object.size, bad_key }
}

/// A key as S3 writes it in notifications: `+` is a space, `%XX` a byte. None where the bytes are not UTF-8.
pub fn decode_key(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A key as S3 would write it.
pub fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, ENCODED).to_string().replace("%20", "+")
}

/// The body that announces an object, as S3 would send it. The object's version names it for good: announcing
/// it twice asks for one job.
pub fn notification(meta: &ObjectMeta) -> String {
    let record = Record {
        event_version: Some("2.1".to_owned()),
        event_source: Some("aws:s3".to_owned()),
        event_name: Some("ObjectCreated:Put".to_owned()),
        s3: Some(Entity {
            bucket: Bucket { name: meta.object.bucket.clone() },
            object: Object {
                key: encode_key(&meta.object.key),
                size: Some(meta.size),
                version_id: meta.object.version.clone(),
                sequencer: None,
            },
        }),
    };
    serde_json::json!({ "Records": [record] }).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(object: &str) -> String {
        format!(
            r#"{{"Records":[{{"eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"in"}},"object":{object}}}}}]}}"#
        )
    }

    fn only(text: &str) -> Arrival {
        let event = parse(text).expect("an event");
        assert_eq!(event.arrivals.len(), 1, "{text}");
        event.arrivals.into_iter().next().expect("one")
    }

    #[test]
    fn keys_are_decoded_plus_first() {
        let arrival = only(&body(r#"{"key":"my+folder/%C3%A9%2B1.zip","versionId":"v1","size":7}"#));
        assert_eq!(arrival.object, ObjectRef::new("in", "my folder/é+1.zip").at("v1"));
        assert_eq!(arrival.id, JobId::of_object(&arrival.object));
        assert_eq!((arrival.size, arrival.bad_key), (Some(7), false));
    }

    #[test]
    fn an_unversioned_upload_is_named_by_its_sequencer_and_read_without() {
        let once = only(&body(r#"{"key":"a","sequencer":"01"}"#));
        let again = only(&body(r#"{"key":"a","sequencer":"02"}"#));
        assert_ne!(once.id, again.id);
        assert_eq!(once.object.version, None);
        let null = only(&body(r#"{"key":"a","sequencer":"01","versionId":"null"}"#));
        assert_eq!((null.id, null.object.version.as_deref()), (once.id, Some("null")));
    }

    #[test]
    fn a_key_that_is_not_utf8_still_names_the_upload() {
        let arrival = only(&body(r#"{"key":"%FF%FE.zip"}"#));
        assert!(arrival.bad_key);
        assert_eq!(arrival.object.key, "%FF%FE.zip");
    }

    #[test]
    fn every_record_counts_and_broken_ones_do_not_hide_the_others() {
        let text = r#"{"Records":[
            {"s3":{"bucket":{"name":"in"},"object":{"key":"a"}}}, 5, {"s3":{"bucket":{"name":"in"}}},
            {"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"in"},"object":{"key":"gone"}}},
            {"eventName":"s3:ObjectCreated:Copy","s3":{"bucket":{"name":"in"},"object":{"key":"b"}}}]}"#;
        let event = parse(text).expect("an event");
        let keys: Vec<_> = event.arrivals.iter().map(|arrival| arrival.object.key.as_str()).collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!((event.problems.len(), event.ignored), (2, 1));
    }

    #[test]
    fn what_is_no_event_is_said_to_be_none() {
        assert_eq!(parse("hello"), Err(EventProblem::NotJson));
        for other in ["[]", "5", "{}", r#"{"Event":"other"}"#, r#"{"Records":5}"#] {
            assert_eq!(parse(other), Err(EventProblem::OtherShape), "{other}");
        }
        let test = parse(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"in"}"#).expect("a test");
        assert_eq!((test.arrivals.len(), test.ignored), (0, 1));
    }

    #[test]
    fn what_is_left_is_read_as_it_was_written() {
        let id = |text: &str| JobId::parse(text).expect("an id");
        for what in [Left::Batch(id("20261121-063000-0a")), Left::Rows(vec![id("a"), id("b")])] {
            let order = Order { what, again: 3, unsent: true };
            let event = parse(&note(&order)).expect("an order");
            assert_eq!((event.order, event.arrivals.len()), (Some(order), 0));
        }
        let plain = parse(r#"{"Shepard":{"submit":"b"}}"#).expect("an order").order.expect("an order");
        assert_eq!((plain.what, plain.again, plain.unsent), (Left::Batch(id("b")), 0, false));
        for bad in [r#"{"Shepard":{"submit":"../x"}}"#, r#"{"Shepard":5}"#, r#"{"Shepard":{"rows":[""]}}"#] {
            assert_eq!(parse(bad), Err(EventProblem::OtherShape), "{bad}");
        }
    }

    #[test]
    fn a_folder_placeholder_is_known() {
        assert!(only(&body(r#"{"key":"folder/","size":0}"#)).is_placeholder());
        assert!(!only(&body(r#"{"key":"folder/","size":9}"#)).is_placeholder());
        assert!(!only(&body(r#"{"key":"empty.zip","size":0}"#)).is_placeholder());
    }

    proptest! {
        #[test]
        fn what_is_announced_is_what_arrives(key in "\\PC{1,40}|[ +%/a-zé日]{1,20}", size in any::<u64>(), version in "[a-z0-9.-]{1,12}") {
            let object = ObjectRef::new("in", key).at(version);
            let text = notification(&ObjectMeta { object: object.clone(), size, modified_ms: 0 });
            let arrival = only(&text);
            prop_assert_eq!(&arrival.object, &object);
            prop_assert_eq!(arrival.id, JobId::of_object(&object));
            prop_assert_eq!(arrival.size, Some(size));
        }

        #[test]
        fn no_body_panics(text in "\\PC{0,200}|[\\[\\]{}\":,a-zR0-9]{0,80}") {
            let _ = parse(&text);
        }
    }
}
