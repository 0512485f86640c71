"""Language codes for MP4."""

from __future__ import annotations

__all__ = ["bcp_47", "iso_639_2", "same_language"]

_CODES = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis bm:bam
bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu dv:div dz:dzo
ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg
gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii
ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau
ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri
mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav
ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin
sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe
sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr
ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
_BIBLIOGRAPHIC = """
alb:sqi arm:hye baq:eus bur:mya chi:zho cze:ces dut:nld fre:fra geo:kat ger:deu gre:ell ice:isl mac:mkd mao:mri may:msa
per:fas rum:ron slo:slk tib:bod wel:cym
"""
"""The other codes of ISO 639-2 for the same languages, which Matroska and older files store."""
_TERMINOLOGICAL = dict(pair.split(":") for pair in _BIBLIOGRAPHIC.split())
_ISO_639_2 = dict(pair.split(":") for pair in _CODES.split())
_SHORTEST = {code: short for short, code in _ISO_639_2.items()}


def iso_639_2(tag: str) -> str:
    """Return the ISO 639-2 code, which MP4 stores, of a language: `deu` for `de-CH`; `und` if there is none.

    Args:
        tag: language tag, BCP 47.
    """
    language = tag.partition("-")[0].lower()
    if len(language) == 3 and language.isascii() and language.isalpha():
        return language
    return _ISO_639_2.get(language, "und")


def bcp_47(tag: str) -> str:
    """Return the BCP 47 tag of a language that a file states as ISO 639-2 or BCP 47; empty for an unknown language.

    Example:
        >>> bcp_47("ger")
        'de'
    """
    language, separator, rest = tag.partition("-")
    code = _TERMINOLOGICAL.get(language.lower(), language.lower())
    known = iso_639_2(code) != "und"
    return f"{_SHORTEST.get(code, code)}{separator}{rest}" if known else ""


def same_language(tag: str, other: str) -> bool:
    """Whether two tags, BCP 47 or ISO 639-2, name the same language, whatever the region or script."""
    one, two = (_TERMINOLOGICAL.get(code := iso_639_2(text), code) for text in (tag, other))
    return one == two != "und"
