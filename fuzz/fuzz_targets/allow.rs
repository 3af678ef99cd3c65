//! Any text as an allow-list and as a file of criticalities: mistakes or a list, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::base::time::Time;
use zeek_ueba::{config, wiring};
use zeek_ueba_fuzz::{check_plain, file, path};

fuzz_target!(|data: &[u8]| {
    let file = file(data);
    let path = path(&file);
    let stages = wiring::stage_names();
    let list = config::load_allow_list(path.as_ref(), &stages);
    match list {
        Ok(list) => {
            let expired = list.expired(Time(1_521_911_720_865_716)).count();
            assert!(expired <= list.ids().count());
            // What the state keeps is the text: it is the same list again.
            let again = config::parse_allow_list(list.text().to_owned(), "again", &stages);
            assert!(again.is_ok_and(|again| again == list));
        }
        Err(mistakes) => mistakes.iter().for_each(|it| check_plain(&it.to_string())),
    }
    let text = format!("[risk]\ncriticality_csv = [{path:?}]\n");
    if let Err(mistakes) = config::resolve(&text, "f", &[], &wiring::stage_keys()) {
        mistakes.iter().for_each(|it| check_plain(&it.to_string()));
    }
});
