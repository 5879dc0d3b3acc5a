"""The words of the phrasebook, written for it: nouns, adjectives, verbs, cities and closed classes.

One English word has one German word (or listed synonyms), so that a source sentence determines its references.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A count noun. `gender` is m, f or n; `genitive` the ending of the genitive singular; `weak`: declined in -(e)n.

    `kinds` are the semantic classes that verbs, adjectives and templates ask for.
    """

    english: str
    english_plural: str
    german: str
    gender: str
    german_plural: str
    genitive: str
    kinds: frozenset[str]
    weak: bool = False


@dataclass(frozen=True)
class Adjective:
    """`stem` takes the endings (teur-), `predicative` stands alone (teuer; empty: attributive only)."""

    english: str
    stem: str
    predicative: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Verb:
    """English principal parts; German infinitive without its separable prefix, third person singular, participle.

    frame: "" (intransitive), "acc", "dat", "dat+acc", or a preposition with its case such as "auf+acc".
    tenses: letters p present, s simple past, f present perfect, w will, m modals, v passive.
    objects, subjects: noun classes. synonym: another German verb of the same meaning.
    """

    english: tuple[str, str, str, str]
    german: str
    prefix: str
    third: str
    participle: str
    auxiliary: str
    frame: str
    objects: tuple[str, ...]
    subjects: tuple[str, ...]
    tenses: str
    synonym: Verb | None = None

    @property
    def infinitive(self) -> str:
        return self.prefix + self.german


_NOUNS = """
key|keys|Schlüssel|m|Schlüssel|s|item
room key|room keys|Zimmerschlüssel|m|Zimmerschlüssel|s|item
suitcase|suitcases|Koffer|m|Koffer|s|item weighable
passport|passports|Reisepass|m|Reisepässe|es|item
umbrella|umbrellas|Regenschirm|m|Regenschirme|s|item coloured
coat|coats|Mantel|m|Mäntel|s|item coloured
handbag|handbags|Handtasche|f|Handtaschen||item coloured weighable
camera|cameras|Kamera|f|Kameras||item coloured
mobile phone|mobile phones|Handy|n|Handys|s|item coloured
towel|towels|Handtuch|n|Handtücher|es|item coloured
city map|city maps|Stadtplan|m|Stadtpläne|s|item
backpack|backpacks|Rucksack|m|Rucksäcke|s|item coloured weighable
toolbox|toolboxes|Werkzeugkasten|m|Werkzeugkästen|s|item coloured weighable
safety helmet|safety helmets|Schutzhelm|m|Schutzhelme|s|item coloured
invoice|invoices|Rechnung|f|Rechnungen||document payable
receipt|receipts|Quittung|f|Quittungen||document
contract|contracts|Vertrag|m|Verträge|s|document signable
form|forms|Formular|n|Formulare|s|document signable fillable
price list|price lists|Preisliste|f|Preislisten||document
delivery note|delivery notes|Lieferschein|m|Lieferscheine|s|document signable
application form|application forms|Antragsformular|n|Antragsformulare|s|document signable fillable
questionnaire|questionnaires|Fragebogen|m|Fragebögen|s|document fillable
timetable|timetables|Fahrplan|m|Fahrpläne|s|document
report|reports|Bericht|m|Berichte|s|document
deposit|deposits|Anzahlung|f|Anzahlungen||payable
parking fee|parking fees|Parkgebühr|f|Parkgebühren||payable
order|orders|Bestellung|f|Bestellungen||reservation
booking|bookings|Buchung|f|Buchungen||reservation
reservation|reservations|Reservierung|f|Reservierungen||reservation
appointment|appointments|Termin|m|Termine|s|movable confirmable
delivery|deliveries|Lieferung|f|Lieferungen||movable confirmable arriving
room|rooms|Zimmer|n|Zimmer|s|lodging room bookable
single room|single rooms|Einzelzimmer|n|Einzelzimmer|s|lodging room bookable
double room|double rooms|Doppelzimmer|n|Doppelzimmer|s|lodging room bookable
holiday apartment|holiday apartments|Ferienwohnung|f|Ferienwohnungen||lodging room bookable
conference room|conference rooms|Konferenzraum|m|Konferenzräume|s|room bookable
seat|seats|Sitzplatz|m|Sitzplätze|es|seat
window seat|window seats|Fensterplatz|m|Fensterplätze|es|seat
table|tables|Tisch|m|Tische|es|seat furniture
train ticket|train tickets|Zugfahrkarte|f|Zugfahrkarten||ticket bookable
return ticket|return tickets|Rückfahrkarte|f|Rückfahrkarten||ticket bookable
bus ticket|bus tickets|Busfahrkarte|f|Busfahrkarten||ticket bookable
flight|flights|Flug|m|Flüge|es|ticket bookable
boat trip|boat trips|Bootsfahrt|f|Bootsfahrten||bookable event
guided tour|guided tours|Führung|f|Führungen||bookable event
chair|chairs|Stuhl|m|Stühle|s|furniture coloured weighable
office chair|office chairs|Bürostuhl|m|Bürostühle|s|furniture coloured weighable
shelf|shelves|Regal|n|Regale|s|furniture measurable
lamp|lamps|Lampe|f|Lampen||furniture coloured
carpet|carpets|Teppich|m|Teppiche|s|goods coloured measurable
mirror|mirrors|Spiegel|m|Spiegel|s|goods measurable
cupboard|cupboards|Schrank|m|Schränke|s|furniture measurable
bed|beds|Bett|n|Betten|es|furniture measurable
sofa|sofas|Sofa|n|Sofas|s|furniture coloured measurable
board|boards|Brett|n|Bretter|es|goods measurable weighable
pipe|pipes|Rohr|n|Rohre|s|goods measurable weighable
ladder|ladders|Leiter|f|Leitern||goods measurable
cable|cables|Kabel|n|Kabel|s|goods measurable coloured
door|doors|Tür|f|Türen||openable measurable
window|windows|Fenster|n|Fenster|s|openable measurable
gate|gates|Tor|n|Tore|s|openable
box|boxes|Karton|m|Kartons|s|goods container weighable
crate|crates|Kiste|f|Kisten||goods container weighable
parcel|parcels|Paket|n|Pakete|s|goods weighable arriving
pallet|pallets|Palette|f|Paletten||goods container weighable
filter|filters|Filter|m|Filter|s|part
battery|batteries|Batterie|f|Batterien||part
switch|switches|Schalter|m|Schalter|s|part
fuse|fuses|Sicherung|f|Sicherungen||part
motor|motors|Motor|m|Motoren|s|part
valve|valves|Ventil|n|Ventile|s|part
gasket|gaskets|Dichtung|f|Dichtungen||part
spare part|spare parts|Ersatzteil|n|Ersatzteile|s|part
gear wheel|gear wheels|Zahnrad|n|Zahnräder|es|part
spring|springs|Feder|f|Federn||part
hose|hoses|Schlauch|m|Schläuche|s|part measurable
plug|plugs|Stecker|m|Stecker|s|part
machine|machines|Maschine|f|Maschinen||machine maker
printer|printers|Drucker|m|Drucker|s|machine
drill|drills|Bohrmaschine|f|Bohrmaschinen||machine
circular saw|circular saws|Kreissäge|f|Kreissägen||machine
pump|pumps|Pumpe|f|Pumpen||machine
forklift|forklifts|Gabelstapler|m|Gabelstapler|s|machine
air conditioner|air conditioners|Klimaanlage|f|Klimaanlagen||machine heated
coffee machine|coffee machines|Kaffeemaschine|f|Kaffeemaschinen||machine
washing machine|washing machines|Waschmaschine|f|Waschmaschinen||machine heated
dishwasher|dishwashers|Geschirrspüler|m|Geschirrspüler|s|machine heated
lift|lifts|Aufzug|m|Aufzüge|s|machine
conveyor belt|conveyor belts|Förderband|n|Förderbänder|es|machine
television|televisions|Fernseher|m|Fernseher|s|machine
oven|ovens|Ofen|m|Öfen|s|machine heated
measuring device|measuring devices|Messgerät|n|Messgeräte|s|machine
train|trains|Zug|m|Züge|es|vehicle arriving
bus|buses|Bus|m|Busse|ses|vehicle arriving
ferry|ferries|Fähre|f|Fähren||vehicle arriving
tram|trams|Straßenbahn|f|Straßenbahnen||vehicle arriving
night train|night trains|Nachtzug|m|Nachtzüge|es|vehicle arriving
shuttle bus|shuttle buses|Pendelbus|m|Pendelbusse|ses|vehicle arriving
lorry|lorries|Lastwagen|m|Lastwagen|s|car truck arriving
van|vans|Lieferwagen|m|Lieferwagen|s|car truck arriving
rental car|rental cars|Mietwagen|m|Mietwagen|s|car
bicycle|bicycles|Fahrrad|n|Fahrräder|es|car
trailer|trailers|Anhänger|m|Anhänger|s|car truck
customer|customers|Kunde|m|Kunden|n|person
colleague|colleagues|Kollege|m|Kollegen|n|person
supplier|suppliers|Lieferant|m|Lieferanten|en|person maker
boss|bosses|Chef|m|Chefs|s|person
guest|guests|Gast|m|Gäste|es|person
driver|drivers|Fahrer|m|Fahrer|s|person
technician|technicians|Techniker|m|Techniker|s|person
electrician|electricians|Elektriker|m|Elektriker|s|person
tour guide|tour guides|Reiseleiter|m|Reiseleiter|s|person
waitress|waitresses|Kellnerin|f|Kellnerinnen||person
saleswoman|saleswomen|Verkäuferin|f|Verkäuferinnen||person
accountant|accountants|Buchhalterin|f|Buchhalterinnen||person
meeting|meetings|Besprechung|f|Besprechungen||event movable
training course|training courses|Schulung|f|Schulungen||event movable
night shift|night shifts|Nachtschicht|f|Nachtschichten||event
concert|concerts|Konzert|n|Konzerte|s|event movable
exhibition|exhibitions|Ausstellung|f|Ausstellungen||event
trade fair|trade fairs|Messe|f|Messen||event
warehouse|warehouses|Lager|n|Lager|s|place hall
workshop|workshops|Werkstatt|f|Werkstätten||place hall maker
station|stations|Bahnhof|m|Bahnhöfe|s|place spot
airport|airports|Flughafen|m|Flughäfen|s|place spot
reception desk|reception desks|Rezeption|f|Rezeptionen||place spot
entrance|entrances|Eingang|m|Eingänge|s|place spot
bus stop|bus stops|Bushaltestelle|f|Bushaltestellen||place spot
restaurant|restaurants|Restaurant|n|Restaurants|s|place hall shop
hotel|hotels|Hotel|n|Hotels|s|place hall
office|offices|Büro|n|Büros|s|place hall shop
factory|factories|Fabrik|f|Fabriken||place hall maker
shop|shops|Laden|m|Läden|s|place hall shop
museum|museums|Museum|n|Museen|s|place hall shop
branch|branches|Filiale|f|Filialen||place hall shop
swimming pool|swimming pools|Schwimmbad|n|Schwimmbäder|es|place hall shop
cellar|cellars|Keller|m|Keller|s|place hall
soup|soups|Suppe|f|Suppen||food
salad|salads|Salat|m|Salate|s|food
pizza|pizzas|Pizza|f|Pizzas||food
cake|cakes|Kuchen|m|Kuchen|s|food
coffee|coffees|Kaffee|m|Kaffees|s|food
beer|beers|Bier|n|Biere|s|food
dessert|desserts|Nachtisch|m|Nachtische|s|food
balcony|balconies|Balkon|m|Balkone|s|extra
bathroom|bathrooms|Bad|n|Bäder|es|extra
desk|desks|Schreibtisch|m|Schreibtische|es|extra
terrace|terraces|Terrasse|f|Terrassen||extra
kitchen|kitchens|Küche|f|Küchen||extra
"""

_ADJECTIVES = """
new|neu|neu|item furniture goods machine part car document vehicle shop extra hall
old|alt|alt|item furniture goods machine part car vehicle hall
small|klein|klein|item furniture goods part room car hall extra
large|groß|groß|item furniture goods part room car hall extra machine
cheap|günstig|günstig|furniture goods part machine bookable
expensive|teur|teuer|furniture goods part machine bookable item car
quiet|ruhig|ruhig|room seat
clean|sauber|sauber|room furniture car extra hall
dirty|schmutzig|schmutzig|room furniture car machine hall openable
damaged|beschädigt|beschädigt|furniture goods item part car openable
defective|defekt|defekt|machine part car
heavy|schwer|schwer|furniture goods item machine
red|rot|rot|coloured
blue|blau|blau|coloured
black|schwarz|schwarz|coloured
green|grün|grün|coloured
white|weiß|weiß|coloured
brown|braun|braun|coloured
friendly|freundlich|freundlich|person
young|jung|jung|person
experienced|erfahren|erfahren|person
reliable|zuverlässig|zuverlässig|person machine
important|wichtig|wichtig|document movable
missing|fehlend||document part
long|lang|lang|event measurable
short|kurz|kurz|event measurable
modern|modern|modern|machine hall room vehicle extra
comfortable|bequem|bequem|seat furniture
next|nächst||vehicle movable
last|letzt||vehicle
wrong|falsch|falsch|document part
fast|schnell|schnell|machine vehicle
loud|laut|laut|machine vehicle
hot|heiß|heiß|food
cold|kalt|kalt|food room
empty|leer|leer|container truck
full|voll|voll|container truck
additional|zusätzlich||bookable seat part document
bright|hell|hell|room hall extra
narrow|schmal|schmal|measurable
wide|breit|breit|measurable
current|aktuell|aktuell|document
"""

# base|third|past|participle|German stem infinitive|prefix|third|participle|auxiliary|frame|objects|subjects|tenses[|=]
# A line that begins with "=" is a German synonym of the verb above it.
_VERBS = """
book|books|booked|booked|buchen||bucht|gebucht|h|acc|bookable|person|sfwmv
reserve|reserves|reserved|reserved|reservieren||reserviert|reserviert|h|acc|seat room|person|sfwmv
order|orders|ordered|ordered|bestellen||bestellt|bestellt|h|acc|furniture goods part food|person|sfwmv
deliver|delivers|delivered|delivered|liefern||liefert|geliefert|h|acc|furniture goods part machine|person|psfwmv
send|sends|sent|sent|schicken||schickt|geschickt|h|dat+acc|document|person|sfwm
=senden||sendet|gesendet
show|shows|showed|shown|zeigen||zeigt|gezeigt|h|dat+acc|document room hall|person|sfwm
bring|brings|brought|brought|bringen||bringt|gebracht|h|dat+acc|food item document|person|sfwm
pay|pays|paid|paid|bezahlen||bezahlt|bezahlt|h|acc|payable|person|sfwmv
check|checks|checked|checked|prüfen||prüft|geprüft|h|acc|document machine part reservation|person|sfwmv
=überprüfen||überprüft|überprüft
repair|repairs|repaired|repaired|reparieren||repariert|repariert|h|acc|machine car openable|person|sfwmv
replace|replaces|replaced|replaced|tauschen|aus|tauscht|ausgetauscht|h|acc|part openable|person|sfwmv
=ersetzen||ersetzt|ersetzt
return|returns|returned|returned|geben|zurück|gibt|zurückgegeben|h|acc|item car machine|person|sfwmv
take along|takes along|took along|taken along|nehmen|mit|nimmt|mitgenommen|h|acc|item document|person|sfwm
bring along|brings along|brought along|brought along|bringen|mit|bringt|mitgebracht|h|acc|item document|person|sfwm
pick up|picks up|picked up|picked up|holen|ab|holt|abgeholt|h|acc|item document goods car person|person|sfwmv
call|calls|called|called|rufen|an|ruft|angerufen|h|acc|person|person|sfwmv
find|finds|found|found|finden||findet|gefunden|h|acc|item document part|person|sfw
lose|loses|lost|lost|verlieren||verliert|verloren|h|acc|item document|person|sf
forget|forgets|forgot|forgotten|vergessen||vergisst|vergessen|h|acc|item document|person|sf
look for|looks for|looked for|looked for|suchen||sucht|gesucht|h|acc|item person place|person|psm
cancel|cancels|cancelled|cancelled|stornieren||storniert|storniert|h|acc|reservation bookable|person|sfwmv
postpone|postpones|postponed|postponed|verschieben||verschiebt|verschoben|h|acc|movable|person|sfwmv
sign|signs|signed|signed|unterschreiben||unterschreibt|unterschrieben|h|acc|signable|person|sfwmv
measure|measures|measured|measured|messen|aus|misst|ausgemessen|h|acc|measurable|person|sfwmv
load|loads|loaded|loaded|beladen||belädt|beladen|h|acc|truck|person|sfwmv
unload|unloads|unloaded|unloaded|entladen||entlädt|entladen|h|acc|truck|person|sfwmv
clean|cleans|cleaned|cleaned|reinigen||reinigt|gereinigt|h|acc|room machine hall furniture|person|psfwmv
switch on|switches on|switched on|switched on|schalten|ein|schaltet|eingeschaltet|h|acc|machine|person|psfwmv
switch off|switches off|switched off|switched off|schalten|aus|schaltet|ausgeschaltet|h|acc|machine|person|psfwmv
open|opens|opened|opened|öffnen||öffnet|geöffnet|h|acc|openable container|person|sfwmv
close|closes|closed|closed|schließen||schließt|geschlossen|h|acc|openable|person|sfwmv
pack|packs|packed|packed|packen|ein|packt|eingepackt|h|acc|item|person|sfwmv
buy|buys|bought|bought|kaufen||kauft|gekauft|h|acc|furniture goods item ticket car|person|sfwmv
sell|sells|sold|sold|verkaufen||verkauft|verkauft|h|acc|furniture goods car machine|person|sfwmv
need|needs|needed|needed|brauchen||braucht|gebraucht|h|acc|furniture goods part item room document machine|person|ps
=benötigen||benötigt|benötigt
rent|rents|rented|rented|mieten||mietet|gemietet|h|acc|car machine room|person|sfwmv
exchange|exchanges|exchanged|exchanged|tauschen|um|tauscht|umgetauscht|h|acc|furniture goods item|person|sfwm
fill in|fills in|filled in|filled in|füllen|aus|füllt|ausgefüllt|h|acc|fillable|person|sfwmv
print out|prints out|printed out|printed out|drucken|aus|druckt|ausgedruckt|h|acc|document|person|sfwmv
weigh|weighs|weighed|weighed|wiegen||wiegt|gewogen|h|acc|weighable|person|sfwmv
confirm|confirms|confirmed|confirmed|bestätigen||bestätigt|bestätigt|h|acc|reservation confirmable|person|sfwmv
lock|locks|locked|locked|schließen|ab|schließt|abgeschlossen|h|acc|openable hall car|person|sfwmv
install|installs|installed|installed|bauen|ein|baut|eingebaut|h|acc|part openable|person|sfwmv
assemble|assembles|assembled|assembled|bauen|zusammen|baut|zusammengebaut|h|acc|furniture|person|sfwmv
test|tests|tested|tested|testen||testet|getestet|h|acc|machine part|person|sfwmv
help|helps|helped|helped|helfen||hilft|geholfen|h|dat|person|person|psfwm
thank|thanks|thanked|thanked|danken||dankt|gedankt|h|dat|person|person|sfm
wait for|waits for|waited for|waited for|warten||wartet|gewartet|h|auf+acc|arriving person|person|psfwm
ask for|asks for|asked for|asked for|fragen||fragt|gefragt|h|nach+dat|document item|person|sfwm
talk to|talks to|talked to|talked to|sprechen||spricht|gesprochen|h|mit+dat|person|person|sfwm
take part in|takes part in|took part in|taken part in|nehmen|teil|nimmt|teilgenommen|h|an+dat|event|person|sfwm
arrive|arrives|arrived|arrived|kommen|an|kommt|angekommen|s|||arriving person|psfw
depart|departs|departed|departed|fahren|ab|fährt|abgefahren|s|||vehicle|psfw
break down|breaks down|broke down|broken down|fallen|aus|fällt|ausgefallen|s|||machine|sf
begin|begins|began|begun|beginnen||beginnt|begonnen|h|||event|psfw
=fangen|an|fängt|angefangen
end|ends|ended|ended|enden||endet|geendet|h|||event|psw
come back|comes back|came back|come back|kommen|zurück|kommt|zurückgekommen|s|||person|psfwm
set off|sets off|set off|set off|fahren|los|fährt|losgefahren|s|||person|psfwm
"""

_CITIES = """Berlin|Berlin Hamburg|Hamburg Munich|München Cologne|Köln Vienna|Wien Zurich|Zürich Nuremberg|Nürnberg
Geneva|Genf Prague|Prag Milan|Mailand Brussels|Brüssel Leipzig|Leipzig Rome|Rom Warsaw|Warschau Lisbon|Lissabon
Copenhagen|Kopenhagen Hanover|Hannover Dresden|Dresden"""

_MASS = """sand|Sand cement|Zement paint|Farbe flour|Mehl rice|Reis sugar|Zucker wood|Holz glue|Klebstoff salt|Salz
cheese|Käse fruit|Obst"""

_NUMERALS = """two|zwei three|drei four|vier five|fünf six|sechs seven|sieben eight|acht nine|neun ten|zehn
eleven|elf twelve|zwölf"""


def _rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.strip().split("\n")]


def _read_nouns() -> tuple[Noun, ...]:
    nouns = []
    for english, english_plural, german, gender, german_plural, genitive, kinds in _rows(_NOUNS):
        weak = genitive in ("n", "en")
        nouns.append(
            Noun(english, english_plural, german, gender, german_plural, genitive, frozenset(kinds.split()), weak)
        )
    return tuple(nouns)


def _read_verbs() -> tuple[Verb, ...]:
    verbs: list[Verb] = []
    rows = _rows(_VERBS)
    for i, row in enumerate(rows):
        if row[0].startswith("="):
            continue
        base, third, past, participle, german, prefix, german_third, german_participle, auxiliary, *rest = row
        frame, objects, subjects, tenses = rest
        common = (frame, tuple(objects.split()), tuple(subjects.split()), tenses)
        english = (base, third, past, participle)
        synonym = None
        if i + 1 < len(rows) and rows[i + 1][0].startswith("="):
            other = rows[i + 1]
            synonym = Verb(english, other[0][1:], other[1], other[2], other[3], auxiliary, *common)
        verbs.append(
            Verb(english, german, prefix, german_third, german_participle, auxiliary, *common, synonym=synonym)
        )
    return tuple(verbs)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((pair.split("|")[0], pair.split("|")[1]) for pair in text.split())


NOUNS = _read_nouns()
ADJECTIVES = tuple(Adjective(row[0], row[1], row[2], frozenset(row[3].split())) for row in _rows(_ADJECTIVES))
VERBS = _read_verbs()
NUMERALS = _pairs(_NUMERALS)
CITIES = _pairs(_CITIES)
MASS_NOUNS = _pairs(_MASS)
