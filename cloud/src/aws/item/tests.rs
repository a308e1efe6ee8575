//! Rows as items and back: ours exactly, the old programs' as truthfully as they can be read.

use proptest::prelude::*;
use shepard_model::{State, Transition};

use super::*;

const KEEP: u32 = 30;
const NOW: i64 = 1_700_000_000_000;

fn row(inputs: &str) -> JobRow {
    let input = ObjectRef::new("shepard-trigger", "sample ä.zip").at("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY");
    let id = JobId::of_object(&input);
    JobRow::arrived(id, Some(input), Inputs::from_json(inputs).unwrap(), NOW, KEEP)
}

fn back(item: &Item) -> JobRow {
    decode(item, KEEP).unwrap().row
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn claim() -> Transition {
    let fence = Fence { run: 1, attempt: 1, worker: "w".into() };
    let batch = None;
    Transition::Claimed {
        fence,
        log_stream: "s".into(),
        compute_id: Some("c".into()),
        batch,
        at_ms: NOW,
        lease_until_ms: NOW + 9,
    }
}

fn finished(outcome: Outcome) -> Transition {
    Transition::Finished {
        fence: Some(Fence { run: 1, attempt: 1, worker: "w".into() }),
        outcome,
        reason: Some("why".into()),
        exit_code: Some(3),
        results: vec![ObjectRef::new("outputs", "r.zip")],
        at_ms: NOW + 5,
    }
}

#[test]
fn the_contracts_attributes_lie_where_they_always_did() {
    let row =
        row(r#"{"Text":"a\nb","int":12,"flag":true,"none":null,"list":[1,"x"],"map":{"k":"v"},"TAG":"t"}"#);
    let item = encode(&row, 1, "m", KEEP);
    assert_eq!(item[ID], s(row.id.as_str()));
    assert_eq!((&item[START], &item[STATUS]), (&s("not_yet_initiated"), &s("not_yet_initiated")));
    assert_eq!(item[END], n(NOW / 1000 + 30 * 86_400));
    assert_eq!((&item["Text"], &item["int"]), (&s("a\nb"), &n(12)));
    assert_eq!((&item["flag"], &item["none"]), (&AttributeValue::Bool(true), &AttributeValue::Null(true)));
    assert_eq!(item["list"], AttributeValue::L(vec![n(1), s("x")]));
    assert_eq!(item["map"], AttributeValue::M(HashMap::from([("k".to_owned(), s("v"))])));
    assert_eq!((&item[REV], &item[EXPIRES]), (&n(1), &item[END]));
    assert!(!item.contains_key(OUTCOME));
    assert!(!item[REST].as_s().unwrap().contains('\n'), "a line of the old worker's environment file");
}

#[test]
fn every_digit_and_the_order_come_back() {
    let row = row(concat!(
        r#"{"z":0.10,"a":12345678901234567890123456789012345678,"huge":123456789012345678901234567890123456789012,"#,
        r#""map":{"b":1,"a":[1.50,{"c":1e400}]},"text":"x","SHEPARD_ROW":"mine","SHEPARD_REV":7,"A":false}"#
    ));
    let mut item = encode(&row, 4, "m", KEEP);
    // What DynamoDB makes of a number.
    assert_eq!(
        item.insert("z".to_owned(), AttributeValue::N("0.1".into())),
        Some(AttributeValue::N("0.10".into()))
    );
    let stored = decode(&item, KEEP).unwrap();
    assert_eq!((&stored.row, stored.rev, stored.mark.as_deref()), (&row, Some(4), Some("m")));
    assert_eq!(item["huge"], s("123456789012345678901234567890123456789012"));
}

#[test]
fn a_fresh_small_row_is_one_write_unit() {
    let mut row = row(r#"{"sample":"S-0001","reads":250000,"paired":true,"TAG":"run-7"}"#);
    row.batch =
        Some(BatchRef { id: JobId::parse("20261121-063000-0123456789abcdef").unwrap(), index: 9_999 });
    let bytes = bytes(&encode(&row, 1, "0123456789abcdef", KEEP));
    assert!(bytes < 1024, "{bytes} bytes");
    // As DynamoDB counts: names, and the values by their types.
    let item =
        Item::from([("ab".to_owned(), AttributeValue::L(vec![n(-123), s("ä"), AttributeValue::Bool(true)]))]);
    assert_eq!(super::bytes(&item), 2 + 3 + (1 + 4) + (1 + 2) + (1 + 1));
}

#[test]
fn an_ended_row_says_how_and_is_kept_for_its_days() {
    let row = row("{}").apply(&claim()).unwrap().apply(&finished(Outcome::Failed)).unwrap();
    let item = encode(&row, 3, "m", KEEP);
    assert_eq!(item[OUTCOME], s("failed"));
    assert_eq!((&item[END], &item[EXPIRES]), (&n(NOW / 1000), &n(NOW / 1000 + 30 * 86_400)));
    assert_eq!(item[START], n(NOW / 1000));
    assert_eq!(back(&item), row);
}

#[test]
fn a_row_of_the_old_scheduler_is_read() {
    let item = Item::from([
        (ID.to_owned(), s(&"0a1b-".repeat(17))),
        (START.to_owned(), s("not_yet_initiated")),
        (STATUS.to_owned(), s("not_yet_initiated")),
        (END.to_owned(), n(NOW / 1000 + 30 * 86_400)),
        ("Tag".to_owned(), s("t")),
        ("QUICK_DEPLOY_DIRECTORY".to_owned(), s("/code/")),
        ("b".to_owned(), n(1)),
    ]);
    let stored = decode(&item, KEEP).unwrap();
    assert_eq!((stored.rev, stored.mark), (None, None));
    let row = stored.row;
    assert_eq!((row.state(), row.created_ms, row.start_time_s), (State::Queued, NOW, None));
    assert_eq!((row.tag.as_deref(), row.quick_deploy.as_deref()), (Some("t"), Some("code")));
    let names: Vec<_> = row.variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["QUICK_DEPLOY_DIRECTORY", "Tag", "b"]);
}

/// The old worker puts the item back with the contract's fields changed, ours as they were or without them.
#[test]
fn a_row_that_the_old_worker_rewrote_is_read() {
    let fresh = row(r#"{"n":0.10}"#);
    for ours in [true, false] {
        let mut item = encode(&fresh, 1, "m", KEEP);
        if !ours {
            item.retain(|name, _| !name.starts_with("SHEPARD_"));
        }
        item.insert(STATUS.to_owned(), AttributeValue::Null(true));
        item.insert(END.to_owned(), s("in_progress"));
        item.insert(START.to_owned(), n(NOW / 1000 + 60));
        let claimed = back(&item);
        assert_eq!((claimed.state(), claimed.status.as_str()), (State::Running, "in_progress"));
        assert_eq!(claimed.started_ms, Some(NOW + 60_000));
        assert!(claimed.end_time_s > NOW / 1000 + 29 * 86_400, "the store must not forget it");

        item.insert(STATUS.to_owned(), s("calling_payload_code 2023/11/14-22:14:20 U.T.C."));
        item.insert(END.to_owned(), n(fresh.end_time_s));
        let running = back(&item);
        assert_eq!((running.state(), running.claim.unwrap().worker.as_str()), (State::Running, ""));

        item.insert(STATUS.to_owned(), s("<done> 2023/11/14-22:20:00 U.T.C."));
        item.insert(END.to_owned(), n(NOW / 1000 + 400));
        let ended = back(&item);
        assert_eq!((ended.outcome, ended.ended_ms), (None, Some(NOW + 400_000)), "nobody knows how");
        assert_eq!(ended.attempts[0].ended_ms, ended.ended_ms);
        // Whoever has asked the compute can say so.
        let told = Transition::Finished {
            fence: None,
            outcome: Outcome::Succeeded,
            reason: None,
            exit_code: None,
            results: Vec::new(),
            at_ms: NOW + 500_000,
        };
        let told = ended.apply(&told).unwrap();
        assert_eq!(back(&encode(&told, 2, "m", KEEP)), told);
    }
}

#[test]
fn what_is_no_row_is_said_so_without_its_values() {
    let good = encode(&row(r#"{"secret":"hunter2"}"#), 1, "m", KEEP);
    for (name, value) in [
        (ID, Some(s("../x"))),
        (ID, None),
        (STATUS, None),
        (STATUS, Some(n(1))),
        (REST, Some(s("{"))),
        (REST, Some(s(r#"{"v":2,"w":"","created":0}"#))),
        (REST, Some(n(1))),
    ] {
        let mut item = good.clone();
        item.remove(name);
        item.extend(value.map(|value| (name.to_owned(), value)));
        let error = decode(&item, KEEP).unwrap_err();
        assert_eq!(error, NotARow(name));
        assert!(!error.to_string().contains("hunter2"));
    }
    let mut ended = good;
    ended.insert(STATUS.to_owned(), s("<done> now"));
    ended.insert(OUTCOME.to_owned(), s("who knows"));
    assert_eq!(decode(&ended, KEEP).unwrap_err(), NotARow(OUTCOME));
}

fn any_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i128>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    token.prop_recursive(5, 40, 5, |inner| {
        let member = ("[a-c]{0,2}", inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::vec(member, 0..5).prop_map(|list| format!("{{{}}}", list.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_variables_come_back(values in proptest::collection::vec(any_json(), 0..6)) {
        let members: Vec<_> = values.iter().enumerate().map(|(n, value)| format!("\"v{n}\":{value}")).collect();
        if let Ok(inputs) = Inputs::from_json(&format!("{{{}}}", members.join(","))) {
            let id = JobId::parse("a").unwrap();
            let row = JobRow::arrived(id, None, inputs, NOW, KEEP);
            prop_assert_eq!(back(&encode(&row, 1, "m", KEEP)), row);
        }
    }
}
