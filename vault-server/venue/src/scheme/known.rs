//! Keys of the self-tests: throwaway ones, published with the vectors that they signed
//! (`tests/vectors/venue/`, records of ccxt 4.5.90). They open nothing anywhere.

/// An Ed25519 key (record `binance-ed25519-rest-26`).
pub(crate) const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIDXhkYooDfghCHUK0kNNaPStgMCe32MQbU8asLsETLfL\n\
-----END PRIVATE KEY-----\n\
";

/// A P-256 key (record `coinbase-es256-rest-11`).
pub(crate) const P256: &str = "-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEIEz4pdSpdNQzE9F+piIC7A4f0lXWuz3h+XaqdT/ov3g/oAoGCCqGSM49\n\
AwEHoUQDQgAEMXbJ9AnFoziMxMZgNhp0AT/g+vQXpYoL+zo0RdSSntvPYt50qCL6\n\
DjWTCbabJd2vhWBeGOtztktvyXormmCBKw==\n\
-----END EC PRIVATE KEY-----\n\
";

/// Its public half: base64 of the uncompressed point (SEC 1, 2.3.3).
pub(crate) const P256_PUBLIC: &str =
    "BDF2yfQJxaM4jMTGYDYadAE/4Pr0F6WKC/s6NEXUkp7bz2LedKgi+g41kwm2myXdr4VgXhjrc7ZLb8l6K5pggSs=";

/// An RSA key of 2,048 bits (records `binance-rsa-rest-00`, `bybit-rsa-rest-08`).
pub(crate) const RSA: &str = "-----BEGIN PRIVATE KEY-----\n\
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQClvgTTOULifNTk\n\
MUs28TlKDuNWRXNXX2e5Hr5gstD+AxYxRLOJBl9reVBl3nsw6rEdYtDIuCAu3chC\n\
xkLKxyLnE9Ksjozc644mv52bH1nCUw5X0O2htM3qQAJL0j9QPfOqD3t0m14DUo+d\n\
VoD41LNwUQ2sdYQw3F1DCIMoHBiUCL/Sw0TDGbnGZ0h7KIJ1yoaeIgR3zOfI2nrX\n\
+68NibnnOHR2UQrq5nz5sGzZoMaSB/JEOqG3PF2U5+k4XAZL5kaEs4kB6R1aiuD8\n\
Kn6/e0ocRQ8MJADrXFhQQ71GKMRoTWTtyzG2LFQuT5FDnXS73jOoQKsO56wL3tY0\n\
EiY5sB8ZAgMBAAECggEABMp1NH9UWvxhgX6Yxlvq7GR5hwv/IWSLOJ9GQMCOeLcx\n\
YCd0mpZ98dr5+1XW4QM5rygk8ZZb7Mrhn+d/9QFUVZJdvbnpobWn4GAbz8j0VOEG\n\
ejyab9kMdjPXNSacyKafyVfE+WoHycgMSW+fjwHD9ZBMOULU2T43bml7tBA62CWM\n\
Kqagdd9dx97wiV4F2GE1mj/+pkA07bJ2OoQAFOPZX4tEOnoSu4m3+NhCxQg0l7pq\n\
seTPeimwI7f/PVtKqhfC8x+JY9DT08qjuooLFhRNAaVX5m6G14W14TwDCKWaeCNb\n\
YIgPL4FuCLq+ydPveFlB3a8B6IikG99KZRbDUzheEQKBgQDbAiL4E1i9chHY4V3W\n\
OpuLiz2pcNICDyk/JvjHo2RBgzdsdXnu8v8AgHxu/GfRsPU7e+NNjm4JYful4t2s\n\
9gJ4SpYdJITTVNtX0poGqbKt1jPgwQogeO24J3I3CfHOJe/kY84Xy4nqHutEYaoG\n\
zYUOC6asE4EqBz9EFamLUwdWqQKBgQDBvKu0HfbrGehtPrwziIZvAob9U8qC0XDI\n\
bDZtvRiUbdmixQ1WovXcLPRTovKzyTQJH5rl0t7O+8BvAMIq/8irzLCMxhFyobSr\n\
Ew+iAvsoLnA+UhINcONLuSR2UXrv4Ar3FghsZFfqKlBZK5H9PTh3KG9Hw7v2dB/3\n\
JmCTeIN68QKBgDT+VVvVwplEqtDh54TY9Z5UeP0xEX/yDzb6xSP5g17e02BpJLIP\n\
FmkWrgVlCfIRcaWNGrk/h5y5mtzPAnjBpmNZGO3AUmuYkuKzURXfph6uQCtYSo0E\n\
9fCjit2KiHorb9rB07KqS5rdFGydfTjcLh/x7cihh5WV31coLrhJxPLRAoGBALNA\n\
eunLM7OxI/E4M2/G6QN7JiTryxqg6CY4oV+Fr2FeBhjpE39OhgayfVmJEeAw0HmE\n\
iZANPGPsYM8Tt5OLWENEvzFw7aHPZldG6pbvBSzXUrkGvHc9NMDSS59BomqhM+QL\n\
ub14VjNt9Sub+ZaCd2Ugv116B8ZvCUhmdMLdpWExAoGBANbS1D1ukp8bEvYqUkdg\n\
g6Aws/W0MMHiT4w+H9xJLlELgY4++XLwK1o2vnF+8/9TYRjOdQb3GYTg9bevW4Pv\n\
qLWmr361jCxe7FQ5wFCszbmTxMcJYeB567ethtSOTWC17LTy+reFOZ1lLWjqKbWc\n\
+fPuIV6wK6fu5AUvsr0Y9HUk\n\
-----END PRIVATE KEY-----\n\
";
