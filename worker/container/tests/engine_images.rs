//! Where images come from, on a real engine: archives of the flock's own image, and what is there already.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/registry.rs"]
mod registry;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use common::Bench;
use registry::Registry;
use serde_json::json;
use shepard_container::{Image, Logins};
use shepard_engine::Login;
use shepard_model::names::container::NESTED_IMAGE;
use shepard_testkit::image::Image as TestImage;

fn main() -> ExitCode {
    shepard_testkit::with_engine_and_busybox(vec![
        ("an_archive_is_loaded_once", loaded_once),
        ("an_archive_of_either_layout_without_a_known_id", unknown_id),
        ("two_workers_that_load_at_once_do_no_harm", at_once),
        ("it_is_run_by_id_whatever_the_name_has_become", by_id),
        ("only_the_newest_images_stay", pruned),
        ("an_image_that_is_not_there_is_refused", missing),
        ("an_archive_that_is_none_is_refused", damaged),
        ("an_image_of_a_registry_is_pulled_once_with_a_login", pulled),
        ("names_are_given_listed_and_taken", names),
    ])
}

fn echo(text: &str) -> TestImage {
    TestImage { created: "2099-01-01T00:00:00Z".into(), ..TestImage::new(json!({"Cmd": ["echo", text]})) }
}

fn loaded_once() {
    let mut bench = Bench::new("once");
    let (tar, hex) = bench.saved(&echo("hello"), NESTED_IMAGE);
    let image = Image::Nested { tar: tar.clone(), id: Some(format!("sha256:{hex}")) };
    let payload = bench.payload(image, bench.options());
    let first = bench.run(&payload, &bench.spec());
    assert_eq!(first.texts(), ["hello"]);
    assert!(first.workers().contains("loaded the payload's image sha256:"), "{:?}", first.lines);
    let tagged = bench.seen(&format!("shepard/payload:{hex}")).unwrap();
    assert_eq!(tagged.id, format!("sha256:{hex}"));
    // The second run cannot load: there is nothing left to load from.
    std::fs::remove_file(tar).unwrap();
    let second = bench.run(&payload, &bench.spec());
    assert_eq!((second.texts(), second.workers()), (vec!["hello"], String::new()));
}

fn unknown_id() {
    let mut bench = Bench::new("layouts");
    for blobs in [false, true] {
        let (tar, hex) = bench.saved(&TestImage { blobs, ..echo("old") }, NESTED_IMAGE);
        let image = Image::Nested { tar, id: None }.resolved().unwrap();
        assert_eq!(image.short(), format!("sha256:{}", &hex[..12]));
        let payload = bench.payload(image, bench.options());
        let said = bench.run(&payload, &bench.spec());
        assert_eq!(said.texts(), ["old"], "{:?}", said.result);
    }
}

fn at_once() {
    let mut bench = Bench::new("twice");
    let (tar, hex) = bench.saved(&echo("both"), NESTED_IMAGE);
    let image = Image::Nested { tar, id: Some(hex) };
    let payload = bench.payload(image, bench.options());
    let (mut one, mut two) = (bench.spec(), bench.spec());
    one.id = shepard_model::JobId::parse(&format!("{}-one", bench.name)).unwrap();
    two.id = shepard_model::JobId::parse(&format!("{}-two", bench.name)).unwrap();
    let said = std::thread::scope(|scope| {
        let runs = [&one, &two].map(|spec| {
            let (bench, payload) = (&bench, &payload);
            scope.spawn(move || bench.run(payload, spec))
        });
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(said.each_ref().map(|said| said.texts()), [["both"], ["both"]]);
    let loads = said.iter().filter(|said| said.workers().contains("loaded the")).count();
    assert_eq!(loads, 1, "the second waits for the first and finds the image");
}

fn by_id() {
    let mut bench = Bench::new("moved");
    let (old, _) = bench.saved(&echo("old"), NESTED_IMAGE);
    let (new, _) = bench.saved(&echo("new"), NESTED_IMAGE);
    let of = |tar| Image::Nested { tar, id: None };
    let (old, new) = (bench.payload(of(old), bench.options()), bench.payload(of(new), bench.options()));
    for (payload, expected) in [(&old, "old"), (&new, "new"), (&old, "old")] {
        assert_eq!(bench.run(payload, &bench.spec()).texts(), [expected]);
    }
}

fn pruned() {
    let mut bench = Bench::new("pruned");
    let mut made = Vec::new();
    for year in 2090..2095 {
        let image = TestImage { created: format!("{year}-01-01T00:00:00Z"), ..echo("x") };
        let (tar, hex) = bench.saved(&image, NESTED_IMAGE);
        let payload = bench.payload(Image::Nested { tar, id: None }, bench.options());
        bench.run(&payload, &bench.spec()).exited();
        made.push(hex);
    }
    let there = |hex: &String| bench.seen(&format!("shepard/payload:{hex}")).is_some();
    assert!(there(&made[4]), "what runs is never let go of");
    assert!(!there(&made[0]) && !there(&made[1]), "the oldest are");
    let tags = bench.runtime.block_on(bench.engine.tags("shepard/payload")).unwrap();
    assert!(
        tags.iter().filter(|tag| made.iter().any(|hex| tag.reference.ends_with(hex))).count() <= 3,
        "{tags:?}"
    );
}

fn missing() {
    let bench = Bench::new("missing");
    let image = Image::Present { reference: "shepard-none/such:1".into() };
    let payload = bench.payload(image, bench.options());
    let said = bench.run(&payload, &bench.spec()).refused();
    assert!(said.contains("shepard-none/such:1") && said.contains("deploy"), "{said}");
}

fn damaged() {
    let mut bench = Bench::new("damaged");
    let (tar, hex) = bench.saved(&echo("x"), NESTED_IMAGE);
    let whole = std::fs::read(&tar).unwrap();
    let other = bench.dir.path().join("other.tar");
    std::fs::write(&other, b"no archive at all").unwrap();
    let known = |tar: &std::path::Path| Image::Nested { tar: tar.to_owned(), id: Some(hex.clone()) };
    for tar in [&other, &bench.dir.path().join("gone.tar")] {
        let payload = bench.payload(known(tar), bench.options());
        let said = bench.run(&payload, &bench.spec()).refused();
        assert!(said.contains(tar.to_str().unwrap()) && said.contains("deploy the flock again"), "{said}");
    }
    let payload =
        bench.payload(Image::Nested { tar: tar.clone(), id: Some("f".repeat(64)) }, bench.options());
    let said = bench.run(&payload, &bench.spec()).refused();
    assert!(said.contains("names sha256:ffffffffffff"), "the archive of another deployment: {said}");
    // A list that is right before a layer that is not: the engine finds it out.
    std::fs::write(&tar, [&whole[whole.len() - 4096..], &whole[..whole.len() / 2]].concat()).unwrap();
    let payload = bench.payload(known(&tar), bench.options());
    assert!(bench.run(&payload, &bench.spec()).result.is_err());
    assert!(bench.containers().is_empty());
}

struct Ecr(&'static str);

#[async_trait]
impl Logins for Ecr {
    async fn login(&self, reference: &str) -> Result<Option<Login>, String> {
        let server = reference.split('/').next().unwrap_or_default().to_owned();
        Ok(Some(Login { server, username: "AWS".into(), password: self.0.into() }))
    }
}

fn pulled() {
    let mut bench = Bench::new("pulled");
    let (tar, _) = bench.saved(&echo("from afar"), "");
    let registry = Registry::of(&tar);
    let image = Image::Digest { reference: registry.reference.clone() };
    let run = |password| {
        let payload = bench.payload(image.clone(), bench.options()).with_logins(Arc::new(Ecr(password)));
        bench.run(&payload, &bench.spec())
    };
    let said = run("wrong").refused();
    assert!(said.contains(&registry.reference) && said.contains("may pull from it"), "{said}");
    assert_eq!(registry.count(), 0);

    let said = run("hush");
    assert_eq!(said.texts(), ["from afar"], "{:?}", said.result);
    assert!(said.workers().contains("pulled the payload's image 127.0.0.1:"), "{}", said.workers());
    let asked = registry.count();
    assert!(asked > 0);
    // It is there: nobody is asked again, and nobody's password is of any use.
    assert_eq!(run("wrong").texts(), ["from afar"]);
    assert_eq!(registry.count(), asked);
    bench.runtime.block_on(bench.engine.remove_image(&registry.reference)).unwrap();
}

fn names() {
    let mut bench = Bench::new("names");
    let Image::Present { reference } = bench.image_of(&echo("x")) else { panic!() };
    let (engine, repository) = (bench.engine.clone(), format!("shepard-{}", bench.name));
    bench.runtime.block_on(async {
        for tag in ["one", "two"] {
            engine.tag(&reference, &repository, tag).await.unwrap();
        }
        let mut tags: Vec<String> =
            engine.tags(&repository).await.unwrap().into_iter().map(|tagged| tagged.reference).collect();
        tags.sort();
        assert_eq!(tags, [format!("{repository}:one"), format!("{repository}:two")]);
        for tag in &tags {
            engine.remove_image(tag).await.unwrap();
            engine.remove_image(tag).await.unwrap();
        }
        assert!(engine.tags(&repository).await.unwrap().is_empty());
        assert!(engine.tag("shepard-none/such:1", &repository, "x").await.is_err());
    });
}
