use super::*;

fn fields(text: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in text {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn peer(address: &str, trusted: bool) -> Peer {
    let everyone = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    Peer::new(address.parse().unwrap(), if trusted { &everyone } else { &[] })
}

#[test]
fn hop_by_hop_fields_end_here() {
    let mut message = fields(&[
        ("connection", "keep-alive, X-Mine"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("x-mine", "1"),
        ("te", "gzip, trailers"),
        ("upgrade", "h2c"),
        ("accept", "*/*"),
    ]);
    let hop = remove_hop_by_hop(&mut message);
    assert_eq!(hop, Hop { upgrade: false, trailers: true });
    assert_eq!(message, fields(&[("accept", "*/*")]));
    add_hop_by_hop(&mut message, hop);
    assert_eq!(message, fields(&[("accept", "*/*"), ("connection", "te"), ("te", "trailers")]));
}

#[test]
fn an_upgrade_is_passed_on() {
    let mut message = fields(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
    let hop = remove_hop_by_hop(&mut message);
    assert!(hop.upgrade);
    add_hop_by_hop(&mut message, hop);
    assert_eq!(message, fields(&[("upgrade", "websocket"), ("connection", "upgrade")]));
}

#[test]
fn connection_can_not_remove_what_others_depend_on() {
    let mut message = fields(&[
        ("connection", "cookie, host, x-forwarded-for, content-length"),
        ("cookie", "a=b"),
        ("host", "a"),
        ("x-forwarded-for", "192.0.2.1"),
        ("content-length", "3"),
    ]);
    remove_hop_by_hop(&mut message);
    assert_eq!(message.len(), 4);
}

#[test]
fn a_stranger_can_not_say_who_asked() {
    let mut message = fields(&[
        ("host", "shop.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.1"),
    ]);
    add_forwarded(&mut message, &peer("198.51.100.7", false));
    assert_eq!(message["x-forwarded-for"], "198.51.100.7");
    assert_eq!(message["x-forwarded-proto"], "http");
    assert_eq!(message["x-forwarded-host"], "shop.example");
    assert_eq!(message["forwarded"], "for=198.51.100.7;host=\"shop.example\";proto=http");
    assert!(!is_https(&message, &peer("198.51.100.7", false)));
}

#[test]
fn a_trusted_proxy_is_believed_and_joined() {
    let mut message = fields(&[
        ("host", "shop.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.1;proto=https"),
    ]);
    let proxy = &peer("10.0.0.1", true);
    add_forwarded(&mut message, proxy);
    assert_eq!(message["x-forwarded-for"], "192.0.2.1, 10.0.0.9, 10.0.0.1");
    assert_eq!(message["x-forwarded-proto"], "https");
    assert_eq!(message["forwarded"], "for=192.0.2.1;proto=https, for=10.0.0.1");
    assert!(is_https(&message, proxy));
    let v6 = &peer("2001:db8::1", false);
    let mut message = fields(&[]);
    add_forwarded(&mut message, v6);
    assert_eq!(message["forwarded"], "for=\"[2001:db8::1]\";proto=http");
}

#[test]
fn the_client_is_the_last_one_that_no_trusted_proxy_is() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let message = fields(&[("x-forwarded-for", "203.0.113.5, 192.0.2.1, 10.0.0.9")]);
    let address = |peer: Peer| client_address(&message, &peer, &trusted).to_string();
    assert_eq!(address(peer("10.0.0.1", true)), "192.0.2.1");
    assert_eq!(address(peer("198.51.100.7", false)), "198.51.100.7");
    let garbled = fields(&[("x-forwarded-for", "203.0.113.5, unknown, 10.0.0.9")]);
    assert_eq!(client_address(&garbled, &peer("10.0.0.1", true), &trusted).to_string(), "10.0.0.9");
}
