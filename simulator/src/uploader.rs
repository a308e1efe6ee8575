//! The load: uploads as fast as S3 takes them on every prefix, and S3's notifications of them, late, twice and out of
//! order.

use std::sync::Arc;

use shepard_cloud::ports::ObjectMeta;
use shepard_lambdas::notification;
use shepard_model::ObjectRef;

use crate::options::Planted;
use crate::s3::{self, Content};
use crate::world::{State, World};

/// How often an uploader looks, in microseconds.
const TICK_US: u64 = 10_000;

/// Uploads this prefix's share.
pub async fn run(world: Arc<World>, prefix: u32) {
    let (mut left, every_us, per_tick) = {
        let state = world.state();
        let options = &state.options;
        let share = (options.uploads + options.prefixes - 1 - prefix) / options.prefixes;
        let rate = state.quotas.s3_put.value * options.quota_factor;
        (share, u64::from(options.every_s) * 1_000_000, rate * TICK_US as f64 / 1e6)
    };
    let mut due = 0.0;
    while left > 0 {
        if every_us > 0 {
            let jitter_us = world.state().rng.u64(..every_us);
            world.time.sleep(every_us / 2 + jitter_us).await;
            due = 1.0;
        } else {
            due += per_tick;
        }
        while due >= 1.0 && left > 0 {
            let mut state = world.state();
            let now_us = world.time.now_us();
            // Refused: it is tried again at the next tick, before anything new.
            if !put(&mut state, now_us, prefix) {
                break;
            }
            due -= 1.0;
            left -= 1;
        }
        // What S3 refused does not pile up to a rush: an uploader keeps so many connections and no more.
        due = due.min(2.0 * per_tick.max(1.0));
        if every_us == 0 {
            world.time.sleep(TICK_US).await;
        }
    }
}

/// One PUT and what S3 says of it later. False where S3 refuses it.
fn put(state: &mut State, now_us: u64, prefix: u32) -> bool {
    let odd = state.options.odd;
    let content = match state.rng.u32(..100) {
        0..3 if odd => Content::Malformed,
        3..5 if odd => Content::Gone,
        _ => Content::Shape(state.rng.u16(..state.options.shapes.clamp(1, 65_535) as u16)),
    };
    let Some(number) = state.s3.upload(now_us, prefix, content) else { return false };
    state.uploaded(now_us, prefix, number, content);
    let object = ObjectRef::new(s3::BUCKET, s3::upload_key(prefix, number)).at(s3::upload_version(number));
    let body = notification(&ObjectMeta { object, size: state.s3.size(content), modified_ms: 0 });
    let twice = state.options.duplicate_rate.unwrap_or(state.quotas.notification_duplicates.value);
    let copies = 1 + u32::from(state.rng.f64() < twice);
    // What is gone as well, nobody can ever know of.
    if content != Content::Gone && state.rng.f64() < state.options.lost_notification_rate {
        state.uploads[number as usize].visible_us = now_us;
        return true;
    }
    for _ in 0..copies {
        if state.options.planted == Some(Planted::LostMessage) && number == 0 {
            continue;
        }
        let shows_us = now_us + state.notification_us();
        let upload = &mut state.uploads[number as usize];
        upload.visible_us = upload.visible_us.min(shows_us);
        state.sqs.push(body.clone(), shows_us);
    }
    if odd && state.rng.u32(..100) < 4 {
        let noise = match state.rng.u32(..4) {
            0 => "hello".to_owned(),
            1 => r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"inputs"}"#.to_owned(),
            2 => r#"{"Records":[{"s3":{"bucket":{"name":"inputs"},"object":{"key":"folder/","size":0}}}]}"#.to_owned(),
            _ => r#"{"Records":[{"s3":{"bucket":{"name":"inputs"},"object":{"key":".shepard/manifests/x","size":9}}}]}"#
                .to_owned(),
        };
        state.sqs.push(noise, now_us);
    }
    true
}
