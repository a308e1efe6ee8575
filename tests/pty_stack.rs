//! A flock on AWS by key presses: stood up, looked at, changed after a preview, failed and rolled back, torn down. The
//! account is a MiniStack of the test's own; the types that it refuses are taken out of the template
//! ([`stack::REFUSED`]): Batch, EIP, NAT and FSx.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pty_support;
#[allow(unreachable_pub, reason = "other tests share it as a part of their support")]
#[path = "support/stack.rs"]
mod stack;

use pty_support::ministack::{Account, REGION};
use pty_support::{Term, World};

/// Opens the console with the account's environment.
fn console(world: &World, account: &Account, size: (u16, u16)) -> Term {
    let environment = account.environment();
    let more: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.console_with(&[], &more, size)
}

/// Fills the form in for a new stack of a template; it is checked when this returns.
fn fill_in(term: &mut Term, name: &str, template: &str) {
    term.see("flocks");
    term.press("A").see("Stand up a flock on AWS").see(REGION);
    term.type_text(name);
    term.press("<down><down><down>");
    term.type_text(template);
    term.see("Batch").see("a month while no job runs");
    // MiniStack's instances are small, and CloudFormation asks for a key pair that is there.
    find(term, "DesiredRam");
    term.press("<ctrl-u>").type_text("2000");
    find(term, "Ec2KeyPair");
    term.press("<ctrl-u>").see("tab chooses: mine");
    term.press("<tab>").press("<esc>").gone("esc shows all groups");
}

/// Finds a setting; it has the focus when this returns.
fn find(term: &mut Term, name: &str) {
    term.press("<ctrl-f>").see("find a setting:");
    term.press("<ctrl-u>").type_text(name);
    term.press("<enter>").gone("find a setting:").see("esc shows all groups");
}

/// A template that cannot be made: a queue of it hides messages for longer than SQS does.
fn broken(template: &str) -> String {
    let mut template: serde_json::Value = serde_json::from_str(template).unwrap();
    template["Resources"]["Broken"] = serde_json::json!({
        "Type": "AWS::SQS::Queue",
        "DependsOn": "ShepardDynamoDB",
        "Properties": { "VisibilityTimeout": 99_999_999 },
    });
    template.to_string()
}

#[test]
fn a_flock_is_stood_up_changed_and_torn_down_by_keys() {
    let (world, account) = (World::new(), Account::start());
    let template = account.file("template.json", &stack::reduced());
    account.python("client('ec2').create_key_pair(KeyName='mine')");
    let mut term = console(&world, &account, (120, 40));
    fill_in(&mut term, "pasture", &template);
    term.press("<enter>").see("Stand up pasture?").see("costs while no job runs");
    term.press("y").see("events of pasture");
    term.see("CREATE_COMPLETE  ");
    term.see("S3::Bucket");
    // What it is made of.
    term.press("d").see("[1 Resources").see("S3::Bucket");
    term.press("<tab>").see("[2 Outputs").see("InputsBucketName");
    // Another memory for the scheduler, and nothing else.
    term.press("U").see("Change the settings of pasture");
    term.type_text(&template).see("Batch  ");
    find(&mut term, "SchedulerMemorySize");
    term.see("1024");
    term.press("<ctrl-u>").type_text("2048");
    term.press("<enter>");
    term.see("WHAT BECOMES OF IT").see("ShepardSchedulerFunction");
    term.press("a").see("Update pasture?");
    term.press("y");
    term.see("events of pasture").see("UPDATE_COMPLETE");
    // What holds data stands out, and is thrown away again.
    term.press("d").see("UPDATE_COMPLETE");
    term.press("U").see("Change the settings of pasture");
    find(&mut term, "TableName");
    term.see("pasture-jobs");
    term.press("<ctrl-u>").type_text("another-table").press("<enter>");
    term.see("REPLACED, holds data");
    term.press("R").see("Change the settings of pasture");
    account.python("client('s3').put_object(Bucket=[b['Name'] for b in client('s3').list_buckets()['Buckets'] if 'pasture-inputs' in b['Name']][0], Key='a.zip', Body=b'x')");
    // Down, with what people put there.
    term.press("<esc>").gone("esc shows all groups");
    term.press("<esc>").gone("Change the settings");
    term.press(":").type_text("tear-down pasture@us-east-1");
    term.press("<enter>").see("data is kept").see("pasture-inputs").see("1 object");
    term.press("t").see("data goes too");
    term.press("X").see("Tear down pasture");
    term.type_text("pasture");
    term.press("<enter>").see("pasture is torn down");
    let left = account.python(
        "print([b['Name'] for b in client('s3').list_buckets()['Buckets'] if 'pasture' in b['Name']])",
    );
    assert_eq!(left.trim(), "[]");
}

#[test]
fn a_failure_says_its_first_cause_and_the_rest_is_torn_down() {
    let (world, account) = (World::new(), Account::start());
    let template = account.file("template.json", &broken(&stack::reduced()));
    account.python("client('ec2').create_key_pair(KeyName='mine')");
    let mut term = console(&world, &account, (80, 24));
    fill_in(&mut term, "meadow", &template);
    term.press("<enter>").see("Stand up meadow?");
    term.press("y").see("events of meadow");
    term.see("first cause: Broken").see("ROLLBACK_COMPLETE");
    term.press("X").see("Nothing of the stack is left.");
    term.press("X").see("Tear down meadow");
    term.type_text("meadow");
    term.press("<enter>").see("meadow is torn down");
}
