use vault_model::{ClockTime, Money};

use super::Window;

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

#[test]
fn prices_of_the_same_moment_share_a_part() {
    // A part is a 64th of it, 100 µs; one that is written down, an eighth.
    const EVERY: u64 = 6_400;
    let mut window = Window::from(Some(money("100")));
    for (price, at, expected) in [
        ("101", 50, "0:100:100:100:0,50:101:101:101:50"),
        ("102", 60, "0:100:100:100:0,50:101:102:102:60"),
        ("101", 1_000, "0:100:100:100:0,50:101:102:102:60,1000:101:101:101:1000"),
        ("99", 1_050, "0:100:100:100:0,50:101:102:102:60,1000:99:101:99:1050"),
        ("102", 1_099, "0:100:100:100:0,50:101:102:102:60,1000:99:102:102:1099"),
        (
            "100",
            1_100,
            "0:100:100:100:0,50:101:102:102:60,1000:99:102:102:1099,1100:100:100:100:1100",
        ),
        (
            "101",
            1_700,
            "0:100:100:100:0,50:101:102:102:60,1000:99:102:102:1099,1100:100:100:100:1100,\
             1700:101:101:101:1700",
        ),
    ] {
        window.add(money(price), ClockTime(at), EVERY);
        assert_eq!(window.to_string(), expected);
    }
    let coarse = "0:100:102:102:60,1000:99:102:100:1100,1700:101:101:101:1700";
    assert_eq!(window.coarse(EVERY).to_string(), coarse);

    // What ended before the window began is forgotten; of what began before, its last price counts.
    let step = money("0.02");
    for (price, at, is_within, oldest) in [
        ("100.98", 7_450, true, "1000:99:102:102:1099"),
        ("99.96", 7_498, true, "1000:99:102:102:1099"),
        ("101.2", 7_498, false, "1000:99:102:102:1099"),
        ("101.2", 7_499, true, "1099:102:102:102:1099"),
        ("102.01", 7_499, false, "1099:102:102:102:1099"),
        ("99.9", 7_499, false, "1099:102:102:102:1099"),
        ("102", 7_500, true, "1100:100:100:100:1100"),
        ("98.98", 7_500, true, "1100:100:100:100:1100"),
        ("98.97", 7_500, false, "1100:100:100:100:1100"),
    ] {
        let mut window = window.clone();
        let is = window.is_within(money(price), step, ClockTime(at), EVERY);
        let text = window.to_string();
        assert_eq!((is, text.split(',').next()), (is_within, Some(oldest)), "{price} at {at}");
    }
}
