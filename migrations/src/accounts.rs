//! The database of the accounts service.

crate::service!("accounts": "0010_app_user", "0011_session", "0012_refresh_token", "0013_api_key");
