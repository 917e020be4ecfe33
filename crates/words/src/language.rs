//! The languages that words have a base form or function words in, and which one a document is in.

use rust_stemmers::{Algorithm, Stemmer};

/// A language of the table.
#[derive(Debug, Clone, Copy)]
pub struct Language(&'static Entry);

#[derive(Debug)]
struct Entry {
    /// ISO 639-1.
    code: &'static str,
    /// ISO 639-3, as the detector says it.
    detected: &'static str,
    algorithm: Option<Algorithm>,
    /// Words that say nothing of what is asked, without accents.
    function_words: &'static str,
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}
impl Eq for Language {}

impl Language {
    /// The language with this code of ISO 639-1, if it is in the table.
    pub fn parse(code: &str) -> Option<Self> {
        LANGUAGES.iter().find(|entry| entry.code == code).map(Self)
    }

    /// Its code of ISO 639-1.
    pub fn code(self) -> &'static str {
        self.0.code
    }

    /// Every language of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        LANGUAGES.iter().map(Self)
    }

    /// The base form of a word in lower case, by the Snowball rules of the language; the word itself where it has none.
    pub fn stem(self, word: &str) -> String {
        match self.0.algorithm {
            Some(algorithm) => Stemmer::create(algorithm).stem(word).into_owned(),
            None => word.to_owned(),
        }
    }

    /// Whether a folded word is one that a question needs for its grammar only.
    pub fn is_function_word(self, folded: &str) -> bool {
        self.0.function_words.split_ascii_whitespace().any(|word| word == folded)
    }
}

/// Characters that are looked at: a page or two, from all over the text.
const SAMPLE_CHARS: usize = 6000;
const SAMPLES: usize = 12;

/// The language of a text that is given in parts. Latin text that is too short or too mixed to tell counts as English.
/// `None`: a language that is not in the table.
pub fn detect<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> Option<Language> {
    let step = parts.len().div_ceil(SAMPLES).max(1);
    let mut sample = String::new();
    for part in parts.step_by(step) {
        let words = part.split_whitespace().filter(|word| !word.contains("://"));
        for word in words.take_while({
            let mut left = SAMPLE_CHARS / SAMPLES;
            move |word| {
                left = left.saturating_sub(word.len());
                left > 0
            }
        }) {
            sample.push_str(word);
            sample.push(' ');
        }
    }
    let found = whatlang::detect(&sample);
    match found {
        Some(found) if found.is_reliable() => {
            LANGUAGES.iter().find(|entry| entry.detected == found.lang().code()).map(Language)
        }
        Some(found) if found.script() == whatlang::Script::Latin => Language::parse("en"),
        Some(found) => LANGUAGES.iter().find(|entry| entry.detected == found.lang().code()).map(Language),
        None => None,
    }
}

const fn entry(
    code: &'static str,
    detected: &'static str,
    algorithm: Option<Algorithm>,
    function_words: &'static str,
) -> Entry {
    Entry { code, detected, algorithm, function_words }
}

static LANGUAGES: [Entry; 22] = [
    entry(
        "en",
        "eng",
        Some(Algorithm::English),
        "a about above after again all also am an and any are as at be because been before being below between both but by can could did do does doing done down during each few for from further give get had has have having he her here hers him his how i if in into is it its itself just let like me more most my name no nor not of off on once only or other our out over own please same say says she should show so some such tell than that the their them then there these they this those through to too under until up us very was we were what when where which while who whom whose why will with would you your",
    ),
    entry(
        "de",
        "deu",
        Some(Algorithm::German),
        "aber als am an auch auf aus bei beim bin bis bist da damit dann das dass dem den denn der des dessen deren dich die dies diese diesem diesen dieser dieses dir doch du durch ein eine einem einen einer eines er es etwas euch fur gegen gibt hat hatte hatten haben hier ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jeden jeder jedes kann kein keine konnen man mehr mein meine mich mir mit muss nach nicht noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so soll sollte uber um und uns unser unter viel viele vom von vor wann war waren warum was wegen weil welche welchem welchen welcher welches wem wen wenn wer werde werden wessen wie wieviel wird wo wodurch wofur woher wohin wozu wurde wurden zu zum zur zwischen",
    ),
    entry(
        "fr",
        "fra",
        Some(Algorithm::French),
        "a afin ai au aucun aussi autre aux avait avant avec avoir c ce cela celle celles celui ces cet cette ceux chaque ci comme comment d dans de depuis des dont du elle elles en entre es est et etait etaient ete etre eu eux fait font furent fut il ils j je l la le les leur leurs lors lui m ma mais me meme mes moi mon n ne ni nos notre nous on ont or ou par parce pas pendant peut plus plusieurs pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se selon ses si son sont sous sur t ta te tes toi ton tous tout toute toutes tres tu un une vers vos votre vous y",
    ),
    entry(
        "es",
        "spa",
        Some(Algorithm::Spanish),
        "a al algo alguna algunas alguno algunos ante antes como con contra cual cuales cuando cuanta cuantas cuanto cuantos de del desde donde dos durante e el ella ellas ellos en entre era eran es esa esas ese eso esos esta estaba estan estas este esto estos fue fueron ha habia hace han hasta hay la las le les lo los mas me mi mientras mismo mucho muy nada ni no nos o os otra otras otro otros para pero poco por porque pues que quien quienes se sea ser si sin sobre son su sus tal tambien tanto te tenia ti tiene tienen todo todos tu un una unas uno unos y ya yo",
    ),
    entry(
        "it",
        "ita",
        Some(Algorithm::Italian),
        "a ad agli ai al alla alle allo anche avere aveva c che chi ci come con contro cosa cui d da dagli dai dal dalla dalle de degli dei del dell della delle dello di do dopo dove e ed era erano essere fa fino fra fu furono gli ha hanno i il in io l la le lei li lo loro lui ma mi mio ne nei nel nella nelle nello noi non o ogni per perche piu poi prima quale quali quando quanta quante quanti quanto quella quelle quelli quello questa queste questi questo s se sei senza si sia siamo sono sta su sua sue sui sul sulla sulle suo suoi tra tu tutti tutto un una uno vi voi",
    ),
    entry(
        "pt",
        "por",
        Some(Algorithm::Portuguese),
        "a ao aos aquela aquelas aquele aqueles aquilo as ate com como da das de dela delas dele deles depois do dos e ela elas ele eles em entre era eram essa essas esse esses esta estao estas estava este estes eu foi foram ha isso isto ja la lhe lhes mais mas me mesmo meu meus minha muito na nao nas nem no nos nossa nosso num numa o onde os ou para pela pelas pelo pelos por porque qual quais quando quanta quantas quanto quantos que quem sao se sem ser seu seus sobre sua suas tambem te tem teu tinha toda todas todo todos tu um uma umas uns voce voces",
    ),
    entry(
        "nl",
        "nld",
        Some(Algorithm::Dutch),
        "aan al als bij dan dat de der deze die dit doen door dus een en er ge geen had heb hebben heeft hem het hier hij hoe hoeveel hun ik in is ja je kan kunnen maar me meer men met mij mijn moet na naar niet nog nu of om omdat ons onze ook op over te tegen toch toen tot u uit uw van veel voor waar waarom wanneer waren was wat we welk welke werd werden wie wij wordt worden zal ze zich zij zijn zo zonder zou",
    ),
    entry(
        "sv",
        "swe",
        Some(Algorithm::Swedish),
        "alla allt an att av blev bli blir da de dem den denna deras dess det detta dig din du efter eller en er ett for fran ha hade han har hon honom hur hos i icke ingen inte ja jag kan man med men mig min mot mycket nagon nagot nar ni nu och om oss pa sa samma sedan sig sin sina sitt ska skall som till ur ut utan vad var varfor vara varit vars vem vi vid vilka vilken vilket",
    ),
    entry(
        "da",
        "dan",
        Some(Algorithm::Danish),
        "af alle at blev blive bliver da de dem den denne der deres det dette dig din disse dog du efter eller en er et for fra ham han hans har havde hende hun hvad hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor hvornar i ikke ind ja jeg jer kan man mange med meget men mig min mod ned nar noget nogle nu og ogsa om op os over pa sig sin sit skal som til ud under var ved vi vil var",
    ),
    entry(
        "no",
        "nob",
        Some(Algorithm::Norwegian),
        "alle at av ble bli blir da de dem den denne der deres det dette di din disse du eller en er et etter for fra ga ha hadde han hans har hun hva hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor i ikke inn ja jeg kan man mange med meg men min mot nar ned noe noen nok na og ogsa om opp oss over pa sa seg sin sitt skal som til under ut var ved vi vil",
    ),
    entry(
        "fi",
        "fin",
        Some(Algorithm::Finnish),
        "ei eika ettei etta han hanen he ja jo joita joka jokin jolla jonka jossa jota jotka kanssa kenen keta ketka koska kuin kuinka kuka kun me mika miksi milla milloin millainen minka missa mista mita mitka moni monta mutta myos ne niin nyt oli olisi olivat olla on ollut ovat paljonko se sen seka siina siita sita tai tama taman ne vaan vai vain voi",
    ),
    entry(
        "hu",
        "hun",
        Some(Algorithm::Hungarian),
        "a ahol aki akik amely amelyek ami az azok azt be csak de e egy egyik el es ez ezek ezt fel ha hany hogy hogyan hol honnan hova igen ill is itt ki kik kit le lehet lesz meg melyik mely mennyi mert mi mibol mie miert mikor milyen mit mivel nagyon nem nincs o ott s sem szerint ugy utan van vagy vannak volt voltak",
    ),
    entry(
        "ro",
        "ron",
        Some(Algorithm::Romanian),
        "a acea aceasta aceea acel acela acest acesta aceste acestei acestui acestia ai aici al ale am ar are as asa asupra au avea avut ca care carei caror cat cata cate cati catre ce cea cei cel cele cine cu cui cum cand da daca dar de deci decat despre din dintr dintre doar dupa ea ei el ele era erau este eu fi fie fiind fost i ii il in inainte intr intre isi l la le li lor lui m mai mult ne nici nu o or ori pana pe pentru pot prin s sa sau se si spre sub sunt te toate tot un una unde unei unor unui va vor",
    ),
    entry(
        "ru",
        "rus",
        Some(Algorithm::Russian),
        "а без более бы был была были было быть в вам вас весь во вот все всего всех вы где да даже для до его ее если есть еще же за здесь и из или им их к как какая какие какими каких какого какое какой каком какому каким какую когда кого который которая которое которые которых кто куда ли либо между мне много может можно мой мы на над не него нее нет ни них но ну о об однако он она они оно от откуда перед по под почему при про с сам свой себя сколько со так также такой там то тогда того тоже той только том тот ты у уже чего чей чем через что чтобы чье чья эта эти это этого этой этом этот я",
    ),
    entry(
        "tr",
        "tur",
        Some(Algorithm::Turkish),
        "acaba ama ancak asla az bana bazi ben bir biri birkac biz bu bunlar bunu buna cok cunku da daha de defa degil diye en gibi hangi hangisi hem hep her hic icin ile ise kac kadar ki kim kimin kime mi mu nasil ne neden nedir nerede nereye nicin niye o olan olarak oldu oldugu onlar onu onun sonra su sey tum ve veya ya yani",
    ),
    entry(
        "ar",
        "ara",
        Some(Algorithm::Arabic),
        "في من إلى الى على عن مع هل ما ماذا متى من أين اين كيف كم لماذا اي أي هو هي هم هذا هذه ذلك تلك التي الذي الذين كان كانت يكون تكون قد لقد ثم أو او و أن ان إن لا لم لن ليس بين كل بعد قبل عند عندما حتى غير أنه انه أنها به بها فيه فيها له لها منه منها عليه عليها",
    ),
    entry(
        "el",
        "ell",
        Some(Algorithm::Greek),
        "αλλα αν απο αυτα αυτες αυτη αυτο αυτοι αυτος αυτου αυτων για γιατι δε δεν εαν ειμαι ειναι εκεινα εκεινη εκεινο εκεινος ενα ενας επι ηταν η θα και κατα κι μα με μετα μη μην μια μου να ο οι ομως οπως οταν οτι ποια ποιες ποιο ποιοι ποιος ποιους ποιον ποιου ποιων ποσα ποσες ποσο ποσοι ποσους ποτε που προς πως σας σε στη στην στις στο στον στους στα τα τη την της τι τις το τον του τους των ως ή",
    ),
    entry("ta", "tam", Some(Algorithm::Tamil), "மற்றும் ஒரு இந்த அந்த என்ன எது எப்போது எங்கே யார் ஏன் எப்படி என்று இது அது"),
    entry(
        "hi",
        "hin",
        None,
        "और का की के को में से पर है हैं था थी थे हो होता होती होते कि यह वह ये वे इस उस इन उन एक ने तक भी ही तो जो जिस जिसे जिसने जिनका या लिए साथ द्वारा कर करना करता करते किया किए गया गई गए कौन कौनसा क्या कब कहाँ क्यों कैसे कितना कितनी कितने किस किसे किसने किन किसका किसकी किसके नहीं अपने अपनी अपना बाद पहले",
    ),
    entry(
        "vi",
        "vie",
        None,
        "va cua la cac mot nhung da duoc cho trong voi khong co nay do o tu khi den ve nguoi ra tai bi boi nhu thi ma vao len xuong gi nao ai dau sao bao nhieu the vi nen cung hay hoac theo sau truoc",
    ),
    entry(
        "pl",
        "pol",
        None,
        "a aby ale bardzo bez bo by byc byl byla bylo byly co czy czego czyj dla do gdy gdzie go i ich ile im inny ja jak jaka jaki jakie jakim jako je jego jej jest jestem juz kiedy kim kto ktora ktore ktorego ktorej ktory ktorych ktorym ma moze mozna na nad nie niz o od on ona one oni oraz po pod przez przy sa sie skad ta tak takie tam te tego tej ten to tu tylko tym u w we z za ze",
    ),
    entry(
        "cs",
        "ces",
        None,
        "a aby ale ani az bez bude by byl byla bylo byly byt co coz do i jak jaka jake jako jaky je jeho jejich jeji jen jestli ji jiz jsou jsem k kam kde kdo kdy kdyz kolik ktera ktere ktery kteri ma mezi mi na nad ne nebo nejsou neni o od po pod podle pred pri pro proc proto s se si sve svou ta tak take tam tato tedy ten tento to tohoto toto tu u v ve vsak z za ze",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn language_of(text: &str) -> Option<&'static str> {
        detect([text].into_iter()).map(Language::code)
    }

    #[test]
    fn the_language_of_a_document_is_told_by_its_text() {
        for (text, code) in [
            ("The insurance covers damage by water, fire and storm, unless the owner has left the house empty.", "en"),
            ("Die Versicherung deckt Schäden durch Wasser, Feuer und Sturm, wenn das Haus bewohnt ist.", "de"),
            ("L'assurance couvre les dommages causés par l'eau, le feu et la tempête dans la maison.", "fr"),
            ("Страхование покрывает ущерб от воды, огня и бури, если дом не пустует.", "ru"),
            ("lamps", "en"),
        ] {
            assert_eq!(language_of(text), Some(code), "{text}");
        }
        assert_eq!(language_of("保险合同涵盖水、火和风暴造成的损失。"), None);
        assert_eq!(language_of(""), None);
        assert_eq!(detect(std::iter::empty()), None);
    }

    /// They are compared with folded words.
    #[test]
    fn function_words_are_folded() {
        for entry in &LANGUAGES {
            for word in entry.function_words.split_ascii_whitespace() {
                let folded = crate::fold::fold(&crate::fold::lower(word));
                assert!(
                    folded == word || entry.code == "ar" || entry.code == "fi" || entry.code == "el",
                    "{} {word} {folded}",
                    entry.code
                );
            }
        }
    }
}
