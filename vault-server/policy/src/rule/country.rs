//! The rule of countries: where a scope lists some, a request comes from one of them.

use crate::denial::Denial;
use crate::document::Country;
use crate::judge::Question;
use crate::scope::Scope;

pub(crate) fn judge(question: &Question<'_>) -> Result<(), Denial> {
    admits_country(question.scope, question.country)
}

/// Judges a country alone: for calls that carry no request to a venue.
///
/// # Errors
///
/// [`Denial::CountryUnknown`] and [`Denial::CountryNotAllowed`].
pub fn admits_country(scope: &Scope, country: Option<Country>) -> Result<(), Denial> {
    let Some(listed) = &scope.countries else {
        return Ok(());
    };
    match country {
        None => Err(Denial::CountryUnknown),
        Some(country) if listed.contains(&country) => Ok(()),
        Some(_) => Err(Denial::CountryNotAllowed),
    }
}
