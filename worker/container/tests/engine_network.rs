//! A network of the payload's own, on an engine that has a bridge for it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::ExitCode;

use common::Bench;
use shepard_container::{Image, Options};
use shepard_engine::ContainerSpec;
use shepard_model::Isolation;

fn main() -> ExitCode {
    let tests: Vec<shepard_testkit::Test> = vec![("the_hosts_network_only_when_granted", network)];
    let able =
        shepard_testkit::engine_answers() && shepard_testkit::image::busybox().is_some() && has_bridge();
    shepard_testkit::where_able("needs_engine_with_a_bridge", able, tests)
}

/// Engines may be started without one, or find it gone.
fn has_bridge() -> bool {
    let mut bench = Bench::new("bridge");
    let Image::Present { reference } = bench.script("true") else { return false };
    let engine = bench.engine.clone();
    bench.runtime.block_on(async {
        let id = engine.create(ContainerSpec { image: reference, ..ContainerSpec::default() }).await.unwrap();
        let started = engine.start(&id).await;
        engine.remove(&id).await.unwrap();
        started.is_ok()
    })
}

fn network() {
    let mut bench = Bench::new("network");
    let spec = bench.spec();
    let script = "readlink /proc/self/ns/net; echo \"metadata $AWS_EC2_METADATA_DISABLED\"; hostname";
    let options = Options { isolation: Isolation::default(), ..bench.options() };
    let own = bench.run_script(script, options, &spec);
    assert!(own.has("metadata true"), "the instance's role is not the payload's: {:?}", own.lines);
    assert_eq!(own.texts()[2].len(), 12, "the container's id, as in the original");
    let hosts = bench.run_script(script, bench.options(), &spec);
    assert!(hosts.has("metadata "), "{:?}", hosts.lines);
    // The engine may live in another network than this test; it is enough that the two are not the same.
    assert_ne!(own.texts()[0], hosts.texts()[0]);
}
