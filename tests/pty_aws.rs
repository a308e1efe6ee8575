//! A flock on AWS that is there already, on MiniStack: found by its stack, looked at and worked on by subcommands and by
//! keys. The resources are the test's own; a stack of nothing but outputs names them, as the template's does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;

use pty_support::meadow::{Meadow, NAME};
use pty_support::ministack::REGION;

#[test]
fn a_flock_on_aws_is_worked_on_by_the_same_subcommands_as_one_of_this_machine() {
    let meadow = Meadow::new();
    // By its whole name, and by its stack's name where only one has it.
    for name in [NAME, "meadow"] {
        let jobs = meadow.json(&["query", "--flock", name]);
        let mut states: Vec<_> =
            jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
        states.sort_unstable();
        assert_eq!(states, ["failed", "queued"]);
    }
    let (code, log, said) = meadow.run(&["logs", "--flock", NAME, "bbbb"]);
    assert_eq!((code, log.as_str()), (0, "reading the sheep\nno rows at all\n"), "{said}");

    // Results: what leads out of the folder is refused, the rest comes, and a second time nothing does.
    let to = meadow.world.work().join("results");
    let to = to.to_str().unwrap();
    let retrieve = ["retrieve", "--flock", NAME, "--to", to];
    let (code, out, said) = meadow.run(&retrieve);
    assert_eq!(code, 1, "{out} {said}");
    assert!(said.contains("not fetched: ../outside") && said.contains("1 fetched"), "{said}");
    let file = meadow.world.work().join("results/night/result@a_1_root.zip");
    assert_eq!(std::fs::read(&file).unwrap(), b"results");
    let (_, _, said) = meadow.run(&retrieve);
    assert!(said.contains("0 fetched") && said.contains("1 there already"), "{said}");

    // A folder goes straight into the bucket, and is a zip there.
    meadow.world.job("barley", r#"{"TAG": "t"}"#);
    let batched = meadow.json(&["batch", "--flock", NAME, "--path", "barley"]);
    let key = batched["jobs"][0]["input"].as_str().unwrap();
    let read = format!(
        "import io, zipfile\nbody = client('s3').get_object(Bucket='meadow-in', Key={key:?})['Body'].read()\n\
         print(zipfile.ZipFile(io.BytesIO(body)).read('inputs.txt').decode(), end='')"
    );
    assert_eq!(meadow.account.python(&read), r#"{"TAG": "t"}"#);

    // Dead letters: seen, and moved back only by whoever says so.
    let dead = meadow.json(&["dlq", "list", "--flock", NAME]);
    assert_eq!(
        (dead["dead"].as_u64(), dead["uploads"][0].as_str()),
        (Some(1), Some("meadow-in/lost/one.zip"))
    );
    assert_eq!(meadow.run(&["dlq", "redrive", "--flock", NAME]).0, 4);
    assert_eq!(meadow.json(&["dlq", "redrive", "--flock", NAME, "--yes"])["moved"], 1);

    // Quick deploy.
    meadow.world.payload("payload", "true\n");
    let deployed = meadow.json(&["quick-deploy", "--flock", NAME, "payload"]);
    assert_eq!((deployed["folder"].as_str(), deployed["files"].as_u64()), (Some("payload"), Some(1)));
    let there = "print(client('s3').list_objects_v2(Bucket='meadow-quick')['Contents'][0]['Key'], end='')";
    assert_eq!(meadow.account.python(there), "payload/run.sh");

    // A job that waits is cancelled; what a flock on AWS does not have is said.
    assert_eq!(meadow.json(&["terminate", "--flock", NAME, "aaaa"])["jobs"][0]["accepted"], true);
    let (code, _, said) = meadow.run(&["local", "start", NAME]);
    assert!(code == 4 && said.contains("is a flock on AWS"), "{code} {said}");
    let (code, _, said) = meadow.run(&["batch-api", "--flock", NAME, "{}"]);
    assert!(code == 4 && said.contains("EndpointFunctionName"), "{code} {said}");
    let (code, _, said) = meadow.run(&["query", "--flock", "nobody@us-east-1"]);
    assert!(code == 3 && said.contains("meadow@us-east-1"), "{code} {said}");
}

#[test]
fn the_console_lists_the_flock_opens_its_jobs_and_shows_a_log() {
    let meadow = Meadow::new();
    let environment = meadow.account.environment();
    let more: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut term = meadow.world.console_with(&[], &more, (160, 30));
    term.see("meadow@us-east-1").see("ready").see(REGION);
    // Its table is read when it is opened, and not before.
    term.see("—");
    // What jobs run without a deploy, by a line of input.
    meadow.world.payload("payload", "true\n");
    term.press("u").see("folder with a run.sh");
    term.press("payload<enter>").see("1 file put");
    let there = "print(client('s3').list_objects_v2(Bucket='meadow-quick')['Contents'][0]['Key'], end='')";
    assert_eq!(meadow.account.python(there), "payload/run.sh");
    // Jobs by API need a function, which this stack does not name.
    term.press("J").see("JSON of one job");
    term.press("{}<enter>").see("EndpointFunctionName");
    term.press("<enter>").see("waits.zip").see("failed.zip").see("poll ");
    term.press("/failed<enter>").gone("waits.zip");
    term.press("<enter>").see("the payload exited with 3");
    term.press("<enter>").see("no rows at all");
    term.press(":flocks<enter>").see("meadow@us-east-1").see("ready");
    term.press("z").see("no supervisor");
    term.press("q").see("Quit Shepard?");
    term.press("y").restored();
    assert_eq!(term.ended(), 0);
}
