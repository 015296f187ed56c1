"""Articles and cases: the forms of a name that a question's wording may ask for.

Wordings name a form in braces. Every language has `{name}`. For countries there are also

en  `{the}` the Netherlands
fr  `{le}` la France, `{de}` de la France, du Canada, d'Israël
es  `{el}` los Países Bajos, `{de}` de los Países Bajos, del Reino Unido
de  `{nom}`, `{akk}` die Schweiz, `{gen}` der Schweiz, Frankreichs, von Laos, `{in}` in der Schweiz

and verbs that agree with them: `{hat}` hat, haben, `{trouve}` trouve, trouvent, ...

For languages there are `{le}`, `{de}`, `{en}` (fr) and `{el}`, `{de}` (es), for all names `{d}` (fr): de Paris, d'Oslo.
"""

from __future__ import annotations

from nescio.data.facts.fact import fold

_VOWELS = set("aeiouhy")

_EN_WITH_ARTICLE = {
    "Bahamas", "Central African Republic", "Comoros", "Democratic Republic of the Congo", "Dominican Republic", "Gambia",
    "Maldives", "Marshall Islands", "Netherlands", "Philippines", "Republic of the Congo", "Seychelles", "Solomon Islands",
    "United Arab Emirates", "United Kingdom", "United States",
}  # fmt: skip

_FR_PLURAL = {
    "Bahamas", "Comores", "Fidji", "Maldives", "Palaos", "Pays-Bas", "Philippines", "Samoa", "Seychelles", "Tonga",
    "Émirats arabes unis", "États-Unis", "Îles Marshall", "Îles Salomon",
}  # fmt: skip
_FR_WITHOUT = {
    "Andorre", "Antigua-et-Barbuda", "Bahreïn", "Chypre", "Cuba", "Djibouti", "Haïti", "Israël", "Kiribati", "Madagascar",
    "Malte", "Maurice", "Monaco", "Nauru", "Oman", "Saint-Christophe-et-Niévès", "Saint-Marin", "Saint-Vincent-et-les-Grenadines",
    "Sainte-Lucie", "Sao Tomé-et-Principe", "Singapour", "Trinité-et-Tobago", "Tuvalu",
}  # fmt: skip
_FR_MASCULINE = {"Belize", "Cambodge", "Mexique", "Mozambique", "Royaume-Uni", "Suriname", "Zimbabwe"}
_FR_FEMININE = {"Sierra Leone"}

_ES_ARTICLES = {
    "Reino Unido": "el",
    "Ciudad del Vaticano": "la",
    "India": "la",
    "República Centroafricana": "la",
    "República Democrática del Congo": "la",
    "República Dominicana": "la",
    "República del Congo": "la",
    "Emiratos Árabes Unidos": "los",
    "Países Bajos": "los",
    "Bahamas": "las",
    "Comoras": "las",
    "Islas Marshall": "las",
    "Islas Salomón": "las",
    "Maldivas": "las",
    "Seychelles": "las",
}

_ES_PLURAL = {"Estados Unidos", "Filipinas"}

_DE_FEMININE = {
    "Demokratische Republik Kongo", "Dominikanische Republik", "Elfenbeinküste", "Mongolei", "Republik Kongo",
    "Republik Moldau", "Schweiz",
    "Slowakei", "Türkei", "Ukraine", "Vatikanstadt", "Zentralafrikanische Republik",
}  # fmt: skip
_DE_MASCULINE = {"Irak", "Iran", "Jemen", "Libanon", "Sudan", "Südsudan", "Tschad"}
_DE_PLURAL = {
    "Bahamas", "Komoren", "Malediven", "Marshallinseln", "Niederlande", "Philippinen", "Salomonen", "Seychellen",
    "Vereinigte Arabische Emirate", "Vereinigte Staaten",
}  # fmt: skip
_DE_ADJECTIVES = ("Demokratische", "Dominikanische", "Zentralafrikanische", "Vereinigte", "Arabische")


def inflect(name: str, language: str, names: str) -> dict[str, str]:
    """Forms of a name by the slot that asks for them.

    Args:
        name: As it stands alone.
        language: ISO 639-1 code of the question.
        names: Kind of name; countries and languages have forms of their own.
    """
    forms = {"name": name, "d": f"d’{name}" if _elides(name) else f"de {name}"}
    if names == "country" and language in _COUNTRY_FORMS:
        forms |= _COUNTRY_FORMS[language](name)
    elif names == "language" and language == "fr":
        forms |= _french(name, "l’" if _elides(name) else "le ") | {"en": f"en {name}"}
    elif names == "language" and language == "es":
        forms |= {"de": f"del {name}", "el": f"el {name}"}
    return forms


def _elides(name: str) -> bool:
    """Whether French "de" and "le" lose their vowel: before vowels and the mute h of "hébreu", "Haïti", "Helsinki"."""
    first = fold(name)[:1]
    if first == "h":
        return fold(name).startswith(("hebreu", "haiti", "helsinki"))
    return first in _VOWELS - {"h", "y"}


def _english(name: str) -> dict[str, str]:
    return {"the": f"the {name}" if name in _EN_WITH_ARTICLE else name}


def _french(name: str, article: str) -> dict[str, str]:
    joined = {"le ": "du ", "les ": "des ", "la ": "de la ", "l’": "de l’"}
    plural = article == "les "
    verbs = {"trouve": "trouvent" if plural else "trouve", "appartient": "appartiennent" if plural else "appartient"}
    if not article:
        return verbs | {"le": name, "de": f"d’{name}" if _elides(name) else f"de {name}"}
    return verbs | {"le": article + name, "de": joined[article] + name}


def _french_country(name: str) -> dict[str, str]:
    if name in _FR_WITHOUT:
        return _french(name, "")
    if name in _FR_PLURAL:
        return _french(name.replace("Îles", "îles"), "les ")
    if _elides(name):
        return _french(name, "l’")
    first = name.replace("-", " ").split()[0]
    feminine = name in _FR_FEMININE or (first.endswith(("e", "ée")) and name not in _FR_MASCULINE)
    return _french(name, "la " if feminine else "le ")


def _spanish_country(name: str) -> dict[str, str]:
    article = _ES_ARTICLES.get(name)
    plural = article in {"los", "las"} or name in _ES_PLURAL
    singular = {"está": "están", "pertenece": "pertenecen", "forma": "forman", "encuentra": "encuentran", "llama": "llaman"}
    verbs = singular if plural else {verb: verb for verb in singular}
    if article is None:
        return verbs | {"el": name, "de": f"de {name}", "al": f"a {name}"}
    name = name.replace("Islas ", "islas ")
    merged = article == "el"
    return verbs | {
        "el": f"{article} {name}",
        "de": f"del {name}" if merged else f"de {article} {name}",
        "al": f"al {name}" if merged else f"a {article} {name}",
    }


def _german_country(name: str) -> dict[str, str]:
    plural = name in _DE_PLURAL
    verbs = (
        {"hat": "haben", "liegt": "liegen", "gehört": "gehören"}
        if plural
        else {"hat": "hat", "liegt": "liegt", "gehört": "gehört"}
    )
    if plural:
        inflected = _inflect_adjectives(name)
        dative = inflected if inflected.endswith(("n", "s")) else inflected + "n"
        return verbs | {"nom": f"die {inflected}", "akk": f"die {inflected}", "gen": f"der {inflected}", "in": f"in den {dative}"}
    if name in _DE_FEMININE:
        inflected = _inflect_adjectives(name)
        return verbs | {"nom": f"die {name}", "akk": f"die {name}", "gen": f"der {inflected}", "in": f"in der {inflected}"}
    if name in _DE_MASCULINE:
        return verbs | {"nom": f"der {name}", "akk": f"den {name}", "gen": f"des {name}", "in": f"im {name}"}
    if name == "Vereinigtes Königreich":
        return verbs | {
            "nom": "das Vereinigte Königreich",
            "akk": "das Vereinigte Königreich",
            "gen": "des Vereinigten Königreichs",
            "in": "im Vereinigten Königreich",
        }
    simple = name[-1] not in "sxzß" and not any(char in name for char in " -’")
    dative = name.replace(" und die ", " und den ")
    return verbs | {"nom": name, "akk": name, "gen": f"{name}s" if simple else f"von {dative}", "in": f"in {dative}"}


def _inflect_adjectives(name: str) -> str:
    return " ".join(word + "n" if word in _DE_ADJECTIVES else word for word in name.split())


_COUNTRY_FORMS = {"en": _english, "fr": _french_country, "es": _spanish_country, "de": _german_country}
