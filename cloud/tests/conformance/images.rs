//! ECR: its logins, and the tags of its repositories.

use shepard_cloud::Kind;
use shepard_cloud::aws::registry::{Ecr, is_ecr};
use shepard_cloud::images::Repository;

use crate::emulator::Emulator;

pub(crate) async fn of_ecr(emulator: &Emulator) {
    let ecr = Ecr::connect(&emulator.profile()).await;
    let home = ecr.home().await.expect("the account's own registry");
    assert!(is_ecr(&home), "{home}");
    let login = ecr.login(&home).await.expect("a login");
    assert_eq!((login.server.as_str(), login.username.as_str()), (home.as_str(), "AWS"));
    assert!(!login.password.is_empty() && !login.password.starts_with("AWS:"));
    assert!(!format!("{login:?}").contains(&login.password));
    assert_eq!(ecr.login("registry.test").await.expect_err("another's").kind, Kind::Invalid);

    let uri = emulator.repository("flock/one", &["latest", "1", "payload-1"]);
    let (host, name) = Repository::parse(&uri).expect("a repository");
    let repository = Repository { host: host.expect("its host"), name };
    assert_eq!(repository.host, home);
    let (mut tags, mut from) = (Vec::new(), None);
    loop {
        let page = ecr.tags(&repository, from.as_deref()).await.expect("tags");
        tags.extend(page.items);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    tags.sort();
    assert_eq!(tags, ["1", "latest", "payload-1"]);
    let none = Repository { name: "flock/two".into(), ..repository };
    assert_eq!(ecr.tags(&none, None).await.expect_err("there is none").kind, Kind::NotFound);
}
