//! Values as PostgreSQL 18 stores them: octets of a heap page, read with pageinspect, beside their text.
#![cfg(target_endian = "little")]
#![allow(clippy::unwrap_used)]

use camcount_jsonb::{Error, MAX_DEPTH, Value};
use proptest::prelude::*;

const STORED: &[(&str, &str)] = &[
    (r#"null"#, "01000050000000c0"),
    (r#"true"#, "01000050000000b0"),
    (r#""ngõ""#, "01000050040000806e67c3b5"),
    (r#"0"#, "0100005006000090180000000080"),
    (r#"-12.50"#, "010000500a0000902800000000a10c008813"),
    (r#"100000000000000000000"#, "01000050080000902000000005800100"),
    (r#"[]"#, "00000040"),
    (r#"{}"#, "00000020"),
    (
        r#"[1,[false,"a"],{}]"#,
        "03000040080000900d00005007000050200000000080010002000040000000a0010000006100000000000020",
    ),
    (
        r#"{"b":null,"width":1920,"detections":[{"bbox":[0.5,20000,-3,0.0000001],"class":"person","confidence":0.91}]}"#,
        "\
    0300002001000080050000000a00000000000040080000107c000050627769647468646574656374696f6e732000000000808007\
    01000040740000d00300002004000080050000000a00000035000050060000000a00001062626f78636c617373636f6e66696465\
    6e636500040000400800009008000010080000100800001020000000ff80881320000000018002002000000000a0030020000000\
    fe830a00706572736f6e0000200000007f818c23",
    ),
    (r#"12345678901234567890.123"#, "0100005012000090480000008481d2042e163423800dd21ece04"),
];

/// `["v1x", "v2xx", …]`, forty of them: more than have their lengths stored in a row.
const MANY_ITEMS: &str = "\
    28000040030000800400000005000000060000000200000003000000040000000500000006000000030000000400000005000000\
    06000000070000000300000004000000050000000600000007000000030000000400000005000000060000000700000003000000\
    040000000500000006000000070000000300000004000000050000009c0000800700000003000000040000000500000006000000\
    07000000030000007631787632787876337878787634787878787635763678763778787638787878763978787878763130763131\
    78763132787876313378787876313478787878763135763136787631377878763138787878763139787878787632307632317876\
    32327878763233787878763234787878787632357632367876323778787632387878787632397878787876333076333178763332\
    78787633337878787633347878787876333576333678763337787876333878787876333978787878763430";

/// `{"k1": 1, "k2": 2, …}`, forty of them.
const MANY_KEYS: &str = "\
    28000020020000800200000002000000020000000200000002000000020000000200000002000000030000000300000003000000\
    03000000030000000300000003000000030000000300000003000000030000000300000003000000030000000300000003000000\
    030000000300000003000000030000000300000003000000030000005a0000800300000003000000030000000300000003000000\
    03000000030000000900001008000010080000100800001008000010080000100800001008000010080000100800001008000010\
    08000010080000100800001008000010080000100800001008000010080000100800001008000010080000100800001008000010\
    38010090080000100800001008000010080000100800001008000010080000100800001008000010080000100800001008000010\
    0800001008000010080000106b316b326b336b346b356b366b376b386b396b31306b31316b31326b31336b31346b31356b31366b\
    31376b31386b31396b32306b32316b32326b32336b32346b32356b32366b32376b32386b32396b33306b33316b33326b33336b33\
    346b33356b33366b33376b33386b33396b3430002000000000800100200000000080020020000000008003002000000000800400\
    200000000080050020000000008006002000000000800700200000000080080020000000008009002000000000800a0020000000\
    00800b002000000000800c002000000000800d002000000000800e002000000000800f0020000000008010002000000000801100\
    20000000008012002000000000801300200000000080140020000000008015002000000000801600200000000080170020000000\
    0080180020000000008019002000000000801a002000000000801b002000000000801c002000000000801d002000000000801e00\
    2000000000801f002000000000802000200000000080210020000000008022002000000000802300200000000080240020000000\
    00802500200000000080260020000000008027002000000000802800";

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn values_are_what_their_text_says() {
    for (text, hex) in STORED {
        let bytes = octets(hex);
        let value = Value::new(&bytes).unwrap();
        assert_eq!(value.to(), Ok(serde_json::from_str::<serde_json::Value>(text).unwrap()), "{text}");
        assert_eq!(value.text_length(), Ok(text.len()), "{text}");
        if let Value::Number(number) = value {
            assert_eq!(number.to_string(), *text);
            assert_eq!(number.to_f64(), Ok(text.parse().unwrap()));
        }
    }
}

#[test]
fn many_items_are_found_by_their_order() {
    let bytes = octets(MANY_ITEMS);
    let Value::Array(items) = Value::new(&bytes).unwrap() else { panic!("an array") };
    let found: Vec<_> = items.iter().map(Result::unwrap).collect();
    assert_eq!(found.len(), 40);
    for (found, number) in found.into_iter().zip(1..) {
        let Value::String(found) = found else { panic!("a text") };
        assert_eq!(found, format!("v{number}{}", "x".repeat(number % 5)));
    }
}

#[test]
fn many_keys_are_found_by_their_name() {
    let bytes = octets(MANY_KEYS);
    let Value::Object(object) = Value::new(&bytes).unwrap() else { panic!("an object") };
    for number in 1..=40 {
        let Some(Value::Number(found)) = object.get(&format!("k{number}")).unwrap() else {
            panic!("a number")
        };
        assert_eq!(found.as_integer(), Some(number));
    }
    for absent in ["", "k", "k0", "k41", "k100"] {
        assert!(object.get(absent).unwrap().is_none(), "{absent}");
    }
}

/// A container's bytes are a value of their own.
#[test]
fn a_part_can_be_read_by_itself() {
    let (_, hex) = STORED.iter().find(|(text, _)| text.contains("detections")).unwrap();
    let bytes = octets(hex);
    let Value::Object(object) = Value::new(&bytes).unwrap() else { panic!("an object") };
    let Some(Value::Array(detections)) = object.get("detections").unwrap() else { panic!("an array") };
    let alone = detections.bytes().to_vec();
    let alone: serde_json::Value = Value::new(&alone).unwrap().to().unwrap();
    assert_eq!(alone, object_of(&bytes)["detections"]);
}

fn object_of(bytes: &[u8]) -> serde_json::Value {
    Value::new(bytes).unwrap().to().unwrap()
}

#[test]
fn a_list_of_a_fixed_length_has_no_more() {
    let bytes = octets(MANY_ITEMS);
    assert!(Value::new(&bytes).unwrap().to::<(String, String)>().is_err());
    let (_, hex) = STORED.iter().find(|(text, _)| *text == r#"[1,[false,"a"],{}]"#).unwrap();
    let bytes = octets(hex);
    type Whole = (i32, (bool, String), std::collections::BTreeMap<String, i32>);
    assert_eq!(Value::new(&bytes).unwrap().to(), Ok::<Whole, _>((1, (false, "a".into()), [].into())));
}

/// A scalar is wrapped in a container once.
#[test]
fn scalars_in_scalars_are_refused() {
    let inner = octets("01000050000000c0");
    assert!(matches!(Value::new(&inner), Ok(Value::Null)));
    let mut outer = octets("0100005008000050");
    outer.extend(inner);
    assert!(matches!(Value::new(&outer), Err(Error::Malformed)));
}

/// An array in an array, so often: each is four octets of header and four of entry around the next.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = octets("00000040");
    for _ in 1..levels {
        let mut outer = octets("01000040");
        outer.extend((0x5000_0000 | bytes.len() as u32).to_le_bytes());
        outer.extend(bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn deep_nesting_is_refused_as_serde_json_does() {
    let bytes = nested(MAX_DEPTH);
    assert!(Value::new(&bytes).unwrap().to::<serde_json::Value>().is_ok());
    assert_eq!(Value::new(&bytes).unwrap().text_length(), Ok(2 * MAX_DEPTH));
    let bytes = nested(MAX_DEPTH + 1);
    assert_eq!(Value::new(&bytes).unwrap().to::<serde_json::Value>(), Err(Error::Depth));
    assert_eq!(Value::new(&bytes).unwrap().text_length(), Err(Error::Depth));
}

proptest! {
    #[test]
    fn bytes_that_are_no_jsonb_never_panic(
        sample in prop::sample::select(STORED),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..8),
        cut in any::<usize>(),
    ) {
        let mut bytes = octets(sample.1);
        let length = bytes.len();
        for (at, octet) in changes {
            bytes[at % length] = octet;
        }
        bytes.truncate(length - cut % length);
        look_at_all(&bytes);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        look_at_all(&bytes);
    }
}

fn look_at_all(bytes: &[u8]) {
    let Ok(value) = Value::new(bytes) else { return };
    let _ = value.text_length();
    let _ = value.to::<serde_json::Value>();
    if let Value::Object(object) = value {
        let _ = object.get("detections");
    }
    if let Value::Number(number) = value {
        let _ = (number.as_integer(), number.to_f64(), number.to_string());
    }
}
