//! The flock's secrets: read as a whole, replaced as a whole.

use shepard_cloud::Kind;
use shepard_cloud::ports::Secret;

use crate::Subject;

fn secret(name: &str, bytes: &[u8]) -> Secret {
    Secret { name: name.into(), bytes: bytes.to_vec() }
}

pub(crate) async fn they_are_replaced_as_one(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let secrets = &subject.ports.secrets;
    assert_eq!(secrets.read().await.expect("none yet"), []);
    let first = [secret("token", b"s3cret\n"), secret(".env", b"A=1\0\xff"), secret("empty", b"")];
    let one = secrets.write(&first).await.expect("write");
    let [token, env, empty] = first;
    // By name, whatever order they came in.
    assert_eq!(secrets.read().await.expect("read"), [env.clone(), empty, token]);
    let two = secrets.write(std::slice::from_ref(&env)).await.expect("write");
    assert_eq!(secrets.read().await.expect("read"), [env]);
    assert!(one.store == two.store && !one.store.is_empty(), "{} {}", one.store, two.store);
    assert!(one.version != two.version && !two.version.is_empty(), "{} {}", one.version, two.version);
    secrets.write(&[]).await.expect("write");
    assert_eq!(secrets.read().await.expect("read"), []);
}

pub(crate) async fn odd_names_and_contents(make: impl AsyncFn() -> Subject) {
    let subject = make().await;
    let secrets = &subject.ports.secrets;
    let every: Vec<u8> = (0..=255).collect();
    let mut odd = vec![
        secret("-rf", b"{\"a\":1}"),
        secret("a b", &every.repeat(100)),
        secret("'\"\n$(x)`\\", b"\n"),
        secret("\u{fc}\u{10ffff}", "ü".as_bytes()),
        secret(&"x".repeat(255), b"long"),
    ];
    odd.sort_by(|a, b| a.name.cmp(&b.name));
    secrets.write(&odd).await.expect("write");
    assert_eq!(secrets.read().await.expect("read"), odd);
    // What no file can be named changes nothing.
    for bad in ["..", "../x", "a/b", "", ".", "a\0", &"x".repeat(1000)] {
        let error = secrets.write(&[secret("good", b""), secret(bad, b"hunter2")]).await.expect_err(bad);
        assert_eq!(error.kind, Kind::Invalid, "{bad:?}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let twice = secrets.write(&[secret("a", b"1"), secret("a", b"2")]).await.expect_err("twice");
    assert_eq!(twice.kind, Kind::Invalid);
    assert_eq!(secrets.read().await.expect("read"), odd);
}
