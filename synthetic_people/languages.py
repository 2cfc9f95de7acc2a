"""Simple sentences in languages other than English: who does what, where or when, each from a list.

Any of the first list goes with any of the second and any of the third. Mandarin is written in pinyin with tones,
because that is what espeak-ng reads.
"""

from __future__ import annotations

_PHRASES: dict[str, tuple[str, str, str]] = {
    "de": (
        "meine Mutter|der alte Bäcker|unser Nachbar|die ganze Familie|das kleine Mädchen|mein bester Freund|"
        "der Bürgermeister|"
        "eine schöne Frau|der fleißige Bauer|Herr Müller",
        "kauft fünf frische Äpfel|baut ein großes Boot|öffnet das Fenster|spielt Klavier|backt Brot und Pfannkuchen|"
        "sucht überall den Schlüssel|malt ein blaues Bild|trinkt eine Tasse Tee|hört Musik|möchte nach Hause fahren",
        "am frühen Morgen|im Garten hinter dem Haus|auf dem Markt|bevor der Sommer kommt|ohne ein Wort|in Hamburg|"
        "neben der Brücke|jeden Abend um acht|mit viel Mühe|am Bahnhof",
    ),
    "fr": (
        "ma mère|le vieux boulanger|notre voisin|toute la famille|la petite fille|mon meilleur ami|le professeur|"
        "une jeune femme|le facteur|monsieur Dubois",
        "achète cinq belles pommes|ouvre la fenêtre|prépare une bonne soupe|joue du piano|cherche un parapluie bleu|"
        "boit un peu de vin rouge|répare le bateau|écoute la musique|peint un beau tableau|veut rentrer chez lui",
        "au bord de la rivière|tous les matins|avant le petit déjeuner|sur le pont|dans le jardin|sans un mot|"
        "au milieu de la nuit|près du feu|pendant la fête|à Bordeaux",
    ),
    "es": (
        "mi madre|el viejo panadero|nuestro vecino|toda la familia|la niña pequeña|mi mejor amigo|el alcalde|"
        "una mujer joven|el profesor|mi abuelo",
        "compra cinco manzanas|abre la ventana|prepara una sopa buena|toca el piano|busca un paraguas azul|"
        "bebe un vaso de agua|pinta un barco|escucha música|lee un libro viejo|quiere volver a casa",
        "por la mañana|en el jardín|antes del desayuno|cerca del puente|sin decir palabra|en medio de la plaza|"
        "todos los viernes|junto al fuego|con mucho cuidado|en Bilbao",
    ),
    "it": (
        "mia madre|il vecchio fornaio|il nostro vicino|tutta la famiglia|la bambina|il mio migliore amico|il sindaco|"
        "una giovane donna|il professore|mio nonno",
        "compra cinque mele|apre la finestra|prepara una buona zuppa|suona il pianoforte|cerca un ombrello blu|"
        "beve un bicchiere di vino|dipinge una barca|ascolta la musica|legge un vecchio libro|vuole tornare a casa",
        "ogni mattina|nel giardino|prima di colazione|vicino al ponte|senza una parola|in mezzo alla piazza|"
        "di venerdi|accanto al fuoco|con molta cura|a Bologna",
    ),
    "pl": (
        "moja mama|stary piekarz|nasz sąsiad|cała rodzina|mała dziewczynka|mój najlepszy przyjaciel|pan burmistrz|"
        "babcia",
        "kupuje pięć jabłek|otwiera okno|gotuje pyszną zupę|gra na pianinie|szuka niebieskiej parasolki|"
        "pije filiżankę herbaty|maluje łódkę|słucha muzyki|czyta grubą książkę",
        "każdego ranka|w ogrodzie|przed śniadaniem|pod mostem|bez słowa|na środku placu|w piątek|przy ogniu|"
        "w Warszawie",
    ),
    "ru": (
        "моя мама|старый пекарь|наш сосед|вся семья|маленькая девочка|мой лучший друг|молодой врач|бабушка|учитель",
        "покупает пять яблок|открывает окно|варит вкусный борщ|играет музыку|ищет голубую рубашку|пьёт горячий чай|"
        "рисует большую лодку|слушает море|читает толстую книгу|любит петь",
        "каждое утро|в саду|перед обедом|под мостом|без единого слова|на площади|в пятницу|у огня|в Москве|"
        "поздно вечером",
    ),
    "uk": (
        "моя мама|старий пекар|наш сусід|уся родина|маленька дівчинка|мій найкращий друг|молодий лікар|бабуся",
        "купує п'ять яблук|відчиняє вікно|варить смачний борщ|грає на піаніно|шукає блакитну сорочку|п'є гарячий чай|"
        "малює великий човен|слухає музику|читає товсту книгу",
        "щоранку|у саду|перед обідом|під мостом|без жодного слова|на майдані|у п'ятницю|біля вогню|у Києві",
    ),
    "cs": (
        "moje maminka|starý pekař|náš soused|celá rodina|malá holčička|můj nejlepší přítel|pan starosta|babička",
        "kupuje pět jablek|otvírá velké okno|vaří dobrou polévku|hraje na piano|hledá modrý deštník|pije hrnek čaje|"
        "maluje loď|poslouchá hudbu|čte tlustou knihu",
        "každé ráno|v zahradě|před snídaní|pod mostem|beze slova|uprostřed náměstí|v pátek|u ohně|v Praze",
    ),
    "tr": (
        "annem|yaşlı fırıncı|komşumuz|bütün aile|küçük kız|en iyi arkadaşım|belediye başkanı|büyükbabam",
        "beş elma alıyor|büyük pencereyi açıyor|güzel bir çorba pişiriyor|piyano çalıyor|mavi şemsiyeyi arıyor|"
        "bir bardak çay içiyor|bir tekne boyuyor|müzik dinliyor|kalın bir kitap okuyor",
        "her sabah|bahçede|kahvaltıdan önce|köprünün yanında|tek kelime etmeden|meydanda|cuma günü|ateşin başında",
    ),
    "hi": (
        "मेरी माँ|मेरा भाई|हमारा पड़ोसी|पूरा परिवार|छोटी लड़की|मेरा दोस्त|बूढ़ा किसान",
        "बाज़ार जाता है|पाँच सेब खाता है|खिड़की खोलता है|गरम चाय पीता है|नीली नाव बनाता है|पुरानी किताब पढ़ता है|"
        "गाना सुनता है",
        "हर सुबह|बगीचे में|पुल के पास|बिना कुछ कहे|शाम को|भारत में|घर के अंदर",
    ),
    "cmn": (
        "wo3 ma1 ma5|wo3 de5 peng2 you3|lao3 shi1|ta1 ba4 ba5|xiao3 mei4 mei5|wo3 men5 quan2 jia1|na4 wei4 yi1 sheng1",
        "mai3 wu3 ge5 ping2 guo3|da3 kai1 chuang1 hu5|he1 yi4 bei1 cha2|hua4 yi4 fu2 hua4|ting1 yin1 yue4|"
        "kan4 yi4 ben3 shu1|xiang3 hui2 jia1|xue2 xi2 zhong1 wen2|bao1 jiao3 zi5",
        "mei3 tian1 zao3 shang5|zai4 hua1 yuan2 li3|zai4 bei3 jing1|zai4 qiao2 bian1|xing1 qi1 wu3|wan3 shang5|"
        "zai4 huo3 che1 zhan4",
    ),
    "nl": (
        "mijn moeder|de oude bakker|onze buurman|het hele gezin|het kleine meisje|mijn beste vriend|de burgemeester",
        "koopt vijf appels|opent het raam|maakt een goede soep|speelt piano|zoekt een blauwe paraplu|"
        "drinkt een kop thee|"
        "bouwt een mooie boot|luistert naar muziek|leest een dik boek",
        "elke ochtend|in de tuin|voor het ontbijt|bij de brug|zonder een woord|midden op het plein|op vrijdag|"
        "in Utrecht",
    ),
    "sv": (
        "min mamma|den gamla bagaren|vår granne|hela familjen|den lilla flickan|min bästa vän|borgmästaren",
        "köper fem äpplen|öppnar fönstret|lagar en god soppa|spelar piano|söker ett blått paraply|dricker en kopp te|"
        "målar en båt|lyssnar på musik|läser en tjock bok",
        "varje morgon|i trädgården|före frukosten|under bron|utan ett ord|mitt på torget|på fredag|vid sjön",
    ),
    "fi": (
        "minun mummo|vanha leipuri|meidän naapuri|koko perhe|pieni tyttö|paras ystäväni|pormestari",
        "ostaa viisi omenaa|avaa ikkunan|keittää hyvää puuroa|soittaa pianoa|etsii vanhaa hattua|juo kupin teetä|"
        "maalaa veneen|kuuntelee musiikkia|lukee kirjaa",
        "joka aamu|puutarhassa|ennen aamiaista|sillan vieressä|sanaakaan sanomatta|keskellä toria|yöllä|"
        "järven rannalla",
    ),
    "ro": (
        "mama mea|bătrânul brutar|vecinul nostru|toată familia|fetița|prietenul meu|primarul",
        "cumpără cinci mere|deschide fereastra|face o supă bună|cântă la pian|caută o umbrelă albastră|"
        "bea o ceașcă de ceai|"
        "pictează o barcă|ascultă muzică|citește o carte",
        "în fiecare dimineață|în grădină|lângă pod|fără un cuvânt|în piață|vineri|la foc|seara târziu",
    ),
    "hu": (
        "az anyám|az öreg pék|a szomszédunk|az egész család|a kislány|a legjobb barátom|a polgármester",
        "öt almát vesz|kinyitja az ablakot|jó levest főz|zongorázik|egy kék esernyőt keres|egy csésze teát iszik|"
        "hajót fest|zenét hallgat|vastag könyvet olvas",
        "minden reggel|a kertben|reggeli előtt|a híd alatt|szó nélkül|a főtéren|pénteken|a tűz mellett|Budapesten",
    ),
    "el": (
        "η μητέρα μου|ο παλιός φούρναρης|ο γείτονάς μας|όλη η οικογένεια|το μικρό κορίτσι|ο φίλος μου|ο δήμαρχος",
        "αγοράζει πέντε μήλα|ανοίγει το παράθυρο|φτιάχνει μια ωραία σούπα|παίζει πιάνο|ψάχνει μια μπλε ομπρέλα|"
        "πίνει ένα ποτήρι νερό|ζωγραφίζει μια βάρκα|ακούει μουσική|διαβάζει ένα βιβλίο",
        "κάθε πρωί|στον κήπο|πριν το πρωινό|κάτω από τη γέφυρα|χωρίς λέξη|στην πλατεία|την Παρασκευή|δίπλα στη φωτιά",
    ),
    "id": (
        "ibu saya|tukang roti tua|tetangga kami|seluruh keluarga|gadis kecil itu|teman baik saya|pak guru",
        "membeli lima apel|membuka jendela|memasak sup enak|bermain piano|mencari payung biru|minum secangkir teh|"
        "melukis perahu|mendengar musik|membaca buku tebal",
        "setiap pagi|di kebun|sebelum sarapan|di bawah jembatan|tanpa bicara|di pasar|hari jumat|di Bandung",
    ),
    "pt": (
        "minha mãe|o velho padeiro|o nosso vizinho|toda a família|a menina|meu melhor amigo|o professor",
        "compra cinco maçãs|abre a janela|faz uma boa sopa|toca piano|procura um guarda-chuva azul|"
        "bebe um copo de água|"
        "pinta um barco|ouve música|lê um livro grosso",
        "todas as manhãs|no jardim|antes do café|perto da ponte|sem uma palavra|no meio da praça|na sexta-feira|"
        "em Lisboa",
    ),
    "ja": (
        "わたしのははは|ふるいともだちは|となりのひとは|ちいさいこどもは|せんせいは|おばあさんは",
        "りんごをいつつかいます|まどをあけます|おちゃをのみます|ピアノをひきます|あおいかさをさがします|ほんをよみます|"
        "おんがくをききます|ばんごはんをたべます",
        "まいあさ|にわで|はしのそばで|きんようびに|うみのちかくで|とうきょうで|よるおそく",
    ),
    "ca": (
        "la meva mare|el vell forner|el nostre veí|tota la família|la nena petita|el meu millor amic|el batlle",
        "compra cinc pomes|obre la finestra|prepara una bona sopa|toca el piano|busca un paraigua blau|"
        "beu un got d'aigua|"
        "pinta un vaixell|escolta música|llegeix un llibre vell",
        "cada matí|al jardí|abans d'esmorzar|a prop del pont|sense dir res|enmig de la plaça|el divendres|vora el foc",
    ),
}  # fmt: skip
PHRASES = {language: tuple(tuple(part.split("|")) for part in parts) for language, parts in _PHRASES.items()}

# What comes first: who (0), what (1), where and when (2). Verbs end the sentence in some languages.
ORDERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "tr": ((0, 2, 1), (2, 0, 1)),
    "hi": ((0, 2, 1), (2, 0, 1)),
    "ja": ((0, 2, 1), (2, 0, 1)),
    "cmn": ((0, 2, 1), (2, 0, 1)),
    "de": ((0, 1, 2), (0, 1)),
    "nl": ((0, 1, 2), (0, 1)),
    "sv": ((0, 1, 2), (0, 1)),
    "hu": ((0, 2, 1), (2, 0, 1), (0, 1)),
}
USUAL_ORDERS = ((0, 1, 2), (2, 0, 1), (0, 1))
