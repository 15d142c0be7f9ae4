//! Any target, cookie and source text is taken without a panic, and a session id parses or does not.
#![no_main]

use abide_affinity::{Request, Source, Sources};
use abide_time::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, Vec<u8>)| {
    let (source, target, cookie) = input;
    if let Some(id) = abide_session::Id::parse(target.as_bytes()) {
        assert_eq!(id.text().as_str(), target, "one text for each id");
    }
    let Ok(source) = source.parse::<Source>() else { return };
    assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
    let Ok(sources) = Sources::new(vec![source], None) else { return };
    let header = |_: &str| Some(cookie.as_slice());
    let request =
        Request { target: &target, cookies: &[&cookie], header: &header, client: None };
    _ = sources.keys(&request, Time::from_millis(0));
});
