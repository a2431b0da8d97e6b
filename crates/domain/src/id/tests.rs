use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;

fn reason(result: Result<(), Invalid>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn every_name_is_bounded_in_bytes() {
    type Check = fn(&str) -> Result<(), Invalid>;
    let checks: [(Check, usize, &str); 4] = [
        (check_tenant_id, TENANT_ID_BYTES_MAX, "tenant_id"),
        (check_entity_id, ENTITY_ID_BYTES_MAX, "entity_id"),
        (check_event_type, EVENT_TYPE_BYTES_MAX, "event_type"),
        (check_tag, TAG_BYTES_MAX, "tag"),
    ];
    for (check, max, field) in checks {
        assert_eq!(check(&"x".repeat(max)), Ok(()));
        let long = reason(check(&"x".repeat(max + 1)));
        assert_eq!(long, format!("{field} has {} bytes; give 1 to {max} bytes", max + 1));
        assert_eq!(reason(check("")), format!("{field} is empty; give 1 to {max} bytes"));
    }
    let long = format!("a/{}", "b".repeat(CONTENT_TYPE_BYTES_MAX - 2));
    assert_eq!(check_content_type(&long), Ok(()));
    assert!(check_content_type(&(long + "b")).is_err());
    assert!(check_content_type("").is_err());
}

#[test]
fn bytes_and_not_characters_count() {
    assert_eq!(check_entity_id(&"ü".repeat(128)), Ok(()));
    assert!(check_entity_id(&("ü".repeat(128) + "a")).is_err());
}

#[test]
fn no_control_character_enters_a_name() {
    for c in ['\0', '\n', '\t', '\u{1b}', '\u{7f}', '\u{85}'] {
        let text = format!("order-{c}1");
        for check in [check_entity_id, check_event_type, check_tag, check_tenant_id, check_content_type] {
            assert!(check(&text).is_err(), "{text:?}");
        }
    }
    let said = reason(check_entity_id("order-\u{1b}1"));
    assert_eq!(said, "entity_id has the control character U+001B at byte 6; remove it");
}

#[test]
fn path_like_entity_ids_are_refused_and_slashes_alone_are_not() {
    for path in ["../../etc", "..", ".", "/etc/passwd", "/", "a/../b", "a/..", "a/.", "./a", "a\\b", "C:\\x"]
    {
        assert!(check_entity_id(path).is_err(), "{path}");
    }
    for fine in [
        "file-etcd/a/b.go",
        "a//b",
        "a/",
        "...",
        "a/...",
        "a..b",
        ".hidden",
        "a/.git/b",
        "order {1}",
        "日本語",
    ] {
        assert_eq!(check_entity_id(fine), Ok(()), "{fine}");
    }
}

#[test]
fn tenants_are_plain_lower_case_names() {
    for fine in ["default", "acme-eu_1", "$system", "0", "-"] {
        assert_eq!(check_tenant_id(fine), Ok(()), "{fine}");
    }
    for bad in ["Acme", "a b", "a/b", "$", "a$", "$$a", "ü", "a.b"] {
        assert!(check_tenant_id(bad).is_err(), "{bad}");
    }
    assert!(TenantId::system().is_reserved());
    assert!(!TenantId::default_tenant().is_reserved());
    assert_eq!(TenantId::parse("default"), Ok(TenantId::default_tenant()));
    assert_eq!(TenantId::parse("$system"), Ok(TenantId::system()));
}

#[test]
fn event_types_have_no_white_space_and_tags_may() {
    assert_eq!(check_event_type("order.placed"), Ok(()));
    for bad in ["order placed", " order", "order\u{a0}placed", "order\u{3000}"] {
        assert!(check_event_type(bad).is_err(), "{bad:?}");
    }
    assert_eq!(check_tag("any text: at all"), Ok(()));
}

#[test]
fn content_types_have_a_type_and_a_subtype() {
    assert_eq!(ContentType::parse("application/json"), Ok(ContentType::json()));
    for fine in ["text/plain; charset=utf-8", "application/vnd.a+json; profile=\"https://x/y\""] {
        assert_eq!(check_content_type(fine), Ok(()), "{fine}");
    }
    for bad in ["json", "/json", "a/", "a/b/c", "ä/b", " /b", "; a/b"] {
        assert!(check_content_type(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_parsed_name_is_its_text() {
    let id = EntityId::parse("order-1").unwrap();
    assert_eq!(
        (id.as_str(), id.to_string(), format!("{id:?}")),
        ("order-1", "order-1".into(), "\"order-1\"".into())
    );
    assert_eq!("order-1".parse::<EntityId>().unwrap(), id);
    assert_eq!(format!("[{id:>9}]"), "[  order-1]");
}

const TEXT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[test]
fn event_ids_read_both_text_forms_in_either_case() {
    let id = EventId::parse(TEXT).unwrap();
    assert_eq!(id.as_u128(), 0x01890a5d_ac96_774b_bcce_b302099a8057);
    assert_eq!(id.to_string(), TEXT);
    assert_eq!(EventId::parse(&TEXT.replace('-', "")), Ok(id));
    assert_eq!(EventId::parse(&TEXT.to_uppercase()), Ok(id));
    assert_eq!(EventId::from_bytes(id.to_bytes()), id);
    assert_eq!(EventId::NIL.to_string(), "00000000-0000-0000-0000-000000000000");
    assert!(EventId::NIL.is_nil() && !id.is_nil());
}

#[test]
fn any_other_text_is_no_event_id() {
    let swapped = "0189-0a5dac96-774b-bcce-b302099a8057";
    let foreign = TEXT.replace("8057", "805g");
    let stray = "0189-a5dac96774bbcceb302099a8057ab";
    let wide = "0189０a5dac96774bbcceb302099a80";
    let long = TEXT.to_string() + "0";
    let braces = format!("{{{TEXT}}}");
    for text in ["", "x", swapped, &foreign, stray, wide, &long, &braces, &TEXT[1..], &"-".repeat(36)] {
        let said = EventId::parse(text).expect_err(text).to_string();
        assert!(said.starts_with("event_id has ") && said.contains("give a UUID"), "{said}");
    }
    for at in 0..TEXT.len() {
        let mut bytes = TEXT.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'-' { b'0' } else { b'-' };
        assert!(EventId::parse(core::str::from_utf8(&bytes).unwrap()).is_err(), "at {at}");
    }
}

#[test]
fn version_7_ids_carry_their_fields_and_sort_by_time() {
    // The example of RFC 9562, appendix A.6.
    let random = 0xcc3_18c4_dc0c_0c07_398f_u128;
    let rand_a = random >> 64;
    let id = EventId::new_v7(0x017f_22e2_79b0, rand_a << 64 | random & u128::from(u64::MAX));
    assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");

    let ids: Vec<EventId> =
        [1, 2, 1000, 1 << 40].map(|ms| EventId::new_v7(ms, u128::MAX - u128::from(ms))).into();
    assert!(ids.is_sorted());
    for random in [0, u128::MAX] {
        let text = EventId::new_v7(u64::MAX, random).to_string();
        assert_eq!(text.as_bytes()[14], b'7');
        assert!(matches!(text.as_bytes()[19], b'8' | b'b'));
    }
}

#[test]
fn a_content_type_says_json_by_its_name_or_its_suffix() {
    for json in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/vnd.api+json",
    ] {
        assert!(is_json(json), "{json}");
    }
    for other in ["text/plain", "application/jsonp", "application/json-seq", "+json2/x", ""] {
        assert!(!is_json(other), "{other}");
    }
}
