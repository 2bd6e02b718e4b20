// SPDX-License-Identifier: LGPL-2.1-or-later

use jobmill::Worker;
use serde_json::json;

fn main() -> jobmill::Result<()> {
    Worker::new("words").slots(4).run(|task| {
        let words = task.spec().argv.clone().unwrap_or_default();
        for i in 1..=words.len() {
            if let Some(reason) = task.cancelled() {
                return Err(reason.into()); // it was cancelled, or takes too long
            }
            task.progress(&format!("{}%", 100 * i / words.len()));
        }
        Ok(Some(json!({ "success": true, "words": words.len() })))
    })
}
