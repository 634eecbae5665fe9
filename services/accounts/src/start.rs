//! Who is there before anybody signs in: the demo user, and the first administrator.

use crate::{
    password::Passwords,
    user::{self, NewUser},
};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, SqlErr};
use subgraph::{
    Caller, Change, Config, Environment, Error, Result, Role, Service, different_characters, validate::fold,
};

/// The flag with the first administrator's e-mail.
pub(crate) const EMAIL_FLAG: &str = "admin-email";
/// The flag with the first administrator's password.
pub(crate) const PASSWORD_FLAG: &str = "admin-password";

const DEMO: (&str, &str, &str) = ("test@example.com", "password", "Test User");

/// Loads the demo user into an empty database.
pub(crate) async fn demo(service: Service) -> Result<()> {
    if user::Entity::find().count(service.db.read()).await? > 0 {
        return Ok(());
    }
    let (email, password, name) = DEMO;
    create(&service, NewUser::check(email, Some(name), Role::Admin, password.into())?).await
}

/// Creates the configured administrator when there is no active one, and says what to configure
/// when nothing is.
pub(crate) async fn first_administrator(service: Service) -> Result<()> {
    let configured = configured(&service)?;
    if service.config.environment == Environment::Production {
        refuse_demo(&service).await?;
    }
    // The demo user is nobody's administrator: whoever configures one wants that one
    let own = user::Entity::administrators().filter(user::Column::EmailKey.ne(DEMO.0));
    if own.count(service.db.read()).await? > 0 {
        return Ok(());
    }
    let Some((email, password)) = configured else {
        if user::Entity::administrators().count(service.db.read()).await? > 0 {
            return Ok(());
        }
        let what = "nobody can manage users: set ADMIN_EMAIL and ADMIN_PASSWORD and start again";
        tracing::warn!(target: "leadgraph", subgraph = service.name, "{what}");
        return Ok(());
    };
    let email_key = fold(email.trim());
    if email_key == DEMO.0 && demo_login_works(&service).await? {
        let message = "ADMIN_EMAIL is the demo user's, whose password everybody knows: choose another e-mail";
        return Err(Error::conflict(message));
    }
    let new = NewUser::check(&email, None, Role::Admin, password).map_err(named)?;
    create(&service, new).await?;
    // Somebody else may have had the e-mail: another instance that starts now, or an old user
    let created = user::Entity::by_email(&email_key).one(service.db.read()).await?;
    if created.is_some_and(|user| user.administers()) {
        return Ok(());
    }
    let message = "ADMIN_EMAIL belongs to a user who is no active administrator: choose another e-mail";
    Err(Error::conflict(message))
}

/// A database that was tried out with demo data keeps the login that everybody knows.
async fn refuse_demo(service: &Service) -> Result<()> {
    if demo_login_works(service).await? {
        let (email, password, _) = DEMO;
        let what = format!(
            "production refuses the demo login {email} / {password}, which everybody knows and which works on this \
             database: start once with LEADGRAPH_ENV=development, reachable from this machine only, sign in as {email} \
             and change the password (changePassword), or deactivate the user (updateUser); or use a database that never \
             had demo data"
        );
        return Err(Error::conflict(what));
    }
    Ok(())
}

/// Words that weak passwords are made of.
const WORDS: [&str; 12] = [
    "password",
    "passwort",
    "changeme",
    "leadgraph",
    "administrator",
    "admin",
    "letmein",
    "welcome",
    "qwerty",
    "secret",
    "user",
    "test",
];
/// Characters of the first administrator's password in production, at least.
const MIN_PASSWORD: usize = 12;
/// Different ones among them, at least.
const MIN_DIFFERENT: usize = 5;

/// Why the first administrator's password is refused in production.
pub(crate) fn weak_password(config: &Config) -> Option<String> {
    let set = |flag| config.extra(flag).filter(|value| !value.is_empty());
    let (email, password) = (set(EMAIL_FLAG).unwrap_or_default(), set(PASSWORD_FLAG)?);
    let how = "make one with `openssl rand -base64 18`, and change it after signing in; remove it and ADMIN_EMAIL where \
               there is an administrator already";
    let (name, host) = email.split_once('@').unwrap_or((email, ""));
    let own = [email, name, host].map(fold);
    let few_different = different_characters(password) < MIN_DIFFERENT;
    let why = if password.chars().count() < MIN_PASSWORD {
        format!("has fewer than {MIN_PASSWORD} characters")
    } else if own.contains(&fold(password)) {
        "is the e-mail address, or a part of it".into()
    } else if few_different || is_common(password) {
        "is one of those that are tried first".into()
    } else {
        return None;
    };
    Some(format!("ADMIN_PASSWORD {why}: {how}"))
}

/// Whether nothing is left of a password without well-known words, digits and signs.
fn is_common(password: &str) -> bool {
    let plain = password.to_lowercase();
    let spelt = plain.replace('@', "a").replace('0', "o").replace('$', "s");
    [plain, spelt].iter().any(|password| {
        let letters: String = password.chars().filter(|c| c.is_alphabetic()).collect();
        WORDS.iter().fold(letters, |left, word| left.replace(word, "")).is_empty()
    })
}

async fn demo_login_works(service: &Service) -> Result<bool> {
    let (email, password, _) = DEMO;
    let user = user::Entity::by_email(email).one(service.db.read()).await?.filter(|user| user.active);
    Passwords::fits(service, user.as_ref(), password.into()).await
}

/// The configured administrator; what is empty is not set.
fn configured(service: &Service) -> Result<Option<(String, String)>> {
    let set = |flag| service.config.extra(flag).filter(|value| !value.is_empty()).map(str::to_owned);
    match (set(EMAIL_FLAG), set(PASSWORD_FLAG)) {
        (Some(email), Some(password)) => Ok(Some((email, password))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Error::invalid("ADMIN_PASSWORD", "is not set, but ADMIN_EMAIL is: set both or none"))
        }
        (None, Some(_)) => {
            Err(Error::invalid("ADMIN_EMAIL", "is not set, but ADMIN_PASSWORD is: set both or none"))
        }
    }
}

/// Faults under the names people know: those of the variables.
fn named(error: Error) -> Error {
    let Error::Invalid(faults) = error else { return error };
    let named = faults.iter().map(|fault| format!("ADMIN_{} {}", fault.field.to_uppercase(), fault.message));
    Error::conflict(named.collect::<Vec<_>>().join("; "))
}

/// Creates a user unless the e-mail is taken.
async fn create(service: &Service, new: NewUser) -> Result<()> {
    let hash = Passwords::hash(service, new.password.clone()).await?;
    let mut change = Change::begin(service, &Caller::system()).await?;
    match new.into_row(hash, change.at()).insert(change.tx()).await {
        Ok(user) => {
            change.record_event("user.created", user.id, &user, &user::event::created(&user))?;
            change.finish(()).await
        }
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_password_is_told_why() {
        let why = |password: &str| {
            let flags =
                ["--admin-email=boss.of.all@example.com".into(), format!("--admin-password={password}")];
            weak_password(&crate::subgraph().config_from(flags).unwrap()).unwrap_or_default()
        };
        for (bad, words) in [
            ("short", "ADMIN_PASSWORD has fewer than 12 characters"),
            ("Boss.Of.All@example.com", "ADMIN_PASSWORD is the e-mail address, or a part of it"),
            ("example.com", "ADMIN_PASSWORD has fewer"),
            ("password1234", "ADMIN_PASSWORD is one of those that are tried first"),
            ("P@ssw0rd-P@ssw0rd!", "ADMIN_PASSWORD is one of those"),
            ("Leadgraph-Admin-2026", "ADMIN_PASSWORD is one of those"),
            ("123456789012", "ADMIN_PASSWORD is one of those"),
            ("abababababab", "ADMIN_PASSWORD is one of those"),
        ] {
            assert!(why(bad).starts_with(words), "{bad}: {}", why(bad));
        }
        for good in ["correct horse battery", "3f9c2b7a51e8", ""] {
            assert_eq!(why(good), "", "{good}");
        }
    }

    #[test]
    fn faults_of_the_first_administrator_name_the_variables() {
        let error = NewUser::check("x", None, Role::Admin, "short".into()).err().map(named).unwrap();
        assert_eq!(
            error.message(),
            "ADMIN_EMAIL is not an e-mail address; ADMIN_PASSWORD is shorter than 8 characters"
        );
    }
}
