//! What only a secret of Secrets Manager can hold: what the original, its template and other people wrote.

use serde_json::json;
use shepard_cloud::ports::Secret;
use shepard_cloud::{Kind, Secrets as _};

use crate::emulator::Emulator;

/// A value that no error may repeat.
const CANARY: &str = "canary-3f1c9a57";

/// Reads what somebody else put.
pub(crate) async fn of_others(emulator: &Emulator) {
    let (subject, name) = emulator.fresh_with_table().await;
    let secrets = &subject.ports.secrets;
    let default = json!({ "instructions.txt": "RG8gbm90IGVtcHR5IHRoaXMuCg==" }).to_string();
    emulator.put_secret(&json!({ "SecretId": name, "SecretString": default }));
    let read = secrets.read().await.expect("the template's");
    assert_eq!(read, [Secret { name: "instructions.txt".into(), bytes: b"Do not empty this.\n".to_vec() }]);
    emulator.put_secret(&json!({ "SecretId": name, "SecretString": "{}" }));
    assert_eq!(secrets.read().await.expect("none"), []);

    let bytes = json!({ "SecretId": name, "SecretBinary": CANARY });
    let text = |text: String| json!({ "SecretId": name, "SecretString": text });
    for (put, why) in [
        (bytes, "it holds bytes, not text"),
        (text(CANARY.into()), "it is no JSON"),
        (text(format!("[\"{CANARY}\"]")), "it is an array"),
        (text(json!({ "user": "me", "password": { "is": CANARY } }).to_string()), "\"user\" is not base64"),
        (text(json!({ "a": 7 }).to_string()), "\"a\" is a number"),
        (text(json!({ "password": CANARY }).to_string()), "\"password\" is not base64"),
    ] {
        emulator.put_secret(&put);
        let error = secrets.read().await.expect_err(why);
        let said = error.to_string();
        assert_eq!(error.kind, Kind::Invalid, "{said}");
        assert!(
            said.contains(why) && said.contains(&name) && said.contains("shepard secrets push"),
            "{said}"
        );
        assert!(!said.contains(CANARY) && !format!("{error:?}").contains(CANARY), "{said}");
    }
    // Pushing again mends it.
    secrets.write(&[]).await.expect("write");
    assert_eq!(secrets.read().await.expect("read"), []);
}

/// A secret that is too long for the service is not sent; one that is not there is said to be missing.
pub(crate) async fn refusals(emulator: &Emulator) {
    let (subject, name) = emulator.fresh_with_table().await;
    let secrets = &subject.ports.secrets;
    let of = |bytes: usize| [Secret { name: "a".into(), bytes: vec![b'x'; bytes] }];
    // {"a":"…"} with 4 characters for each 3 bytes.
    let longest = (shepard_cloud::secret::LIMIT - 8) / 4 * 3;
    secrets.write(&of(longest)).await.expect("as long as may be");
    let error = secrets.write(&of(longest + 3)).await.expect_err("too long");
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.to_string().contains("65536"), "{error}");
    assert_eq!(secrets.read().await.expect("read"), of(longest));

    let missing = emulator.secrets(&format!("{name}-missing")).await;
    for error in [missing.read().await.expect_err("read"), missing.write(&[]).await.expect_err("write")] {
        assert_eq!(error.kind, Kind::NotFound, "{error}");
        let said = error.to_string();
        assert!(said.contains("-missing") && said.contains("stack makes it"), "{said}");
    }
}
