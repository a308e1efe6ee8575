use super::*;
use crate::ports::{ObjectMeta, Queue as _};

fn meta(key: &str, version: Option<&str>) -> ObjectMeta {
    let mut object = ObjectRef::new("inputs", key);
    object.version = version.map(str::to_owned);
    ObjectMeta { object, size: 1, modified_ms: 1 }
}

async fn announce(fixture: &Fixture, objects: &[ObjectMeta]) -> usize {
    let body = |meta: &ObjectMeta| format!("put {}", meta.object.key);
    fixture.flock.inbox().announce(objects, body).await.expect("announce")
}

#[tokio::test]
async fn an_input_is_announced_once_a_version() {
    let fixture = Fixture::new();
    let (one, two) = (meta("a b.zip", Some("1")), meta("ü.zip", None));
    assert!(!fixture.flock.inbox().announced("a b.zip", Some("1")).await.expect("announced"));
    assert_eq!(announce(&fixture, &[one.clone(), two.clone(), one.clone()]).await, 2);
    assert_eq!(announce(&fixture, &[one.clone(), two]).await, 0);
    assert_eq!(announce(&fixture, &[meta("a b.zip", Some("2"))]).await, 1);
    assert!(fixture.flock.inbox().announced("a b.zip", Some("1")).await.expect("announced"));
    assert!(fixture.flock.inbox().announced("ü.zip", None).await.expect("announced"));
    assert!(!fixture.flock.inbox().announced("a b.zip", None).await.expect("announced"));
    let messages = fixture.flock.queue().receive(9, 1).await.expect("receive");
    let bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["put a b.zip", "put ü.zip", "put a b.zip"]);
}

#[tokio::test]
async fn a_folder_of_thousands_is_announced_whole() {
    let fixture = Fixture::new();
    let objects: Vec<_> = (0..2_345).map(|number| meta(&format!("{number}.zip"), Some("1"))).collect();
    assert_eq!(announce(&fixture, &objects[..700]).await, 700);
    assert_eq!(announce(&fixture, &objects).await, 1_645);
    assert_eq!(fixture.flock.queue().depth().await.expect("depth").waiting, 2_345);
}
