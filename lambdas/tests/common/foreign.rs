//! What must hold for any bytes whatever: shared by the fuzz target and by a test on stable Rust.

use shepard_lambdas::{event, zip};
use shepard_model::{Inputs, inputs, keywords};

/// Panics where the readers do not keep their promises for these bytes.
pub fn check(bytes: &[u8]) {
    let (outcome, cost) = zip::read_inputs_of_bytes(bytes);
    assert!(cost.bytes <= zip::MAX_READ, "read {} bytes", cost.bytes);
    assert!(cost.reads <= 64, "read {} times", cost.reads);
    match outcome {
        Ok(inputs) => sound(&inputs),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    if let Ok(inputs) = Inputs::parse(bytes) {
        assert!(bytes.len() <= inputs::MAX_BYTES);
        sound(&inputs);
    }
    if let Ok(event) = event::parse(&String::from_utf8_lossy(bytes)) {
        for arrival in event.arrivals {
            assert!(!arrival.object.key.is_empty() && !arrival.object.bucket.is_empty());
        }
    }
}

/// What got past the checks can be a job's environment.
fn sound(inputs: &Inputs) {
    for (name, value) in &inputs.variables {
        assert!(keywords::reserved(name).is_none() && keywords::env_name_problem(name).is_none(), "{name:?}");
        assert!(!name.contains('\0') && !value.to_env().contains('\0'), "{name:?}");
    }
}
