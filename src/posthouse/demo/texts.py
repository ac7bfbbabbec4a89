"""The words of the demo mailbox: threads, notes, newsletters, and letters in many languages."""

from __future__ import annotations

from attrs import frozen

__all__ = [
    "CLOSINGS",
    "ITEMS",
    "LETTERS",
    "NOTES",
    "OPENINGS",
    "PLACES",
    "REPLIES",
    "SENTENCES",
    "TOPICS",
    "Letter",
]


@frozen
class Letter:
    """A letter in another language: how its bytes are to be encoded, its subject and its text."""

    charset: str
    encoding: str  # Content-Transfer-Encoding
    sender: str
    subject: str
    text: str


# Subjects of threads, and what the first message asks.
TOPICS = (
    (
        "The tower clock runs four minutes fast",
        "The baker says his bread is late, but it is our clock. Who has the key to the tower?",
    ),
    (
        "Lunch on Thursday?",
        "There is a new soup place behind the fish market. Shall we say half past twelve?",
    ),
    (
        "Spare parts for the 1904 movement",
        "The third wheel has a bent tooth. Jonas thinks he can cut a new one; I think we should ask first.",
    ),
    (
        "Budget for the exhibition",
        "I put the numbers together. The lamps are more than we hoped, the posters less.",
    ),
    (
        "Moving the workshop to the canal house",
        "The lease ends in spring. The upstairs rooms have better light, and the stairs are wide enough.",
    ),
    ("Photos from Sunday's walk", "Most of them show fog. The three that do not are rather good, I think."),
    ("Which varnish did we use?", "A customer in Porto asks, and my notebook says only 'the good one'."),
    (
        "Train to the conference",
        "The early one has a dining car, the late one lets us sleep. I lean towards the dining car.",
    ),
    (
        "Reading group: next book",
        "Two votes for the lighthouse novel, two for the history of rope. Somebody has to decide.",
    ),
    (
        "Repair café, first Saturday",
        "We had nineteen toasters last time. Could we have one more person who likes toasters?",
    ),
    (
        "Labels for the drawers",
        "If every drawer says 'misc', no drawer does. Here is a proposal with colours.",
    ),
    (
        "The cat in the workshop",
        "She sleeps in the box of mainsprings. I have not the heart to move her. Any ideas?",
    ),
    (
        "Insurance wants a list",
        "They would like every machine with its year and value. I began; please add what I forgot.",
    ),
    (
        "A visitor from Kyoto",
        "Mr. Tanaka repairs automata and would like to see the mechanical bird. Who is in on the 14th?",
    ),
    ("Water in the cellar", "Only a finger deep, and the pump works. But the crates should go on the shelf."),
    (
        "Timetable for the summer course",
        "Six mornings, four people each. I would begin with files and end with hairsprings.",
    ),
    ("Door bell", "It rings by itself at ten past three every afternoon. Nobody has ever been there."),
    ("Recipe, as promised", "Plum cake, my grandmother's. The secret is to do nothing for an hour."),
    (
        "Order for brass rod",
        "The supplier gives a discount from ten metres on. We need seven. Does anybody want three?",
    ),
    (
        "Who borrowed the loupe?",
        "The ten-fold one with the dent. I will not be angry. I would only like to see again.",
    ),
    ("New sign above the door", "Three drafts: one plain, one with a wheel, one with a wheel and a bird."),
    (
        "Archive boxes",
        "I found letters from 1931 in the attic, all about a missing pendulum. It is quite a story.",
    ),
)

OPENINGS = ("Hello {name},", "Dear {name},", "Hi {name},", "Good morning {name},", "{name},")
CLOSINGS = ("Best wishes,", "Until soon,", "Warm regards,", "Thank you,", "Yours,")

REPLIES = (
    "Good idea. I can do that on Tuesday, when the morning is quiet.",
    "I would rather wait a week. There is no hurry, and the weather will be better.",
    "Count me in. I will bring the folding table.",
    "I asked at the hardware shop; they have two left, and will keep them until Friday.",
    "Let us not decide by mail. I will be in the workshop tomorrow after four.",
    "Agreed, with one change: we should write down who does what.",
    "I looked again and found that I was wrong. The other one is the right one.",
    "My neighbour knows somebody who knows. I will report.",
    "That works for me. Could you add Agnes? She had thoughts about this.",
    "Half done already! The rest needs a second pair of hands.",
    "Is there a photograph? I cannot picture it.",
    "For what it is worth, the manual agrees with you (page 42, the footnote).",
)

SENTENCES = (
    "The morning light came in low over the water and made every file and hammer look important.",
    "We measured twice, cut once, and then measured again to be sure that we had.",
    "A clock does not know what time it is; it only knows how to be regular.",
    "On the third shelf there is a box of screws that fit nothing, and yet nobody throws it away.",
    "The ferry was late, so there was time for a second coffee and for the whole newspaper.",
    "Every spring has a memory of the shape it had when it was made.",
    "The archive smells of dust, lamp oil and a little of oranges.",
    "Somebody had written the date on the back of the dial: 9 May 1904, rain.",
    "The apprentice asked why, which is the best question, and nobody had a good answer.",
    "It turned out that the noise was a beetle, and that the beetle had been there for years.",
    "Between the tick and the tock there is just room enough for a thought.",
    "The bridge opens at ten, at noon and at four; the boats wait, and so do we.",
    "He drew the mechanism from memory, and only one wheel was on the wrong side.",
    "The soup was good, the bread was better, and the bill came on the back of a postcard.",
    "When the wind is from the east, one can hear the trains on the far side of the bay.",
    "She keeps a list of words that she likes; 'escapement' is the fourth.",
)

# Short plain notes: subject and text; {number} and {place} are filled in.
NOTES = (
    (
        "Your parcel is on its way",
        "Parcel {number} left our depot in {place} this morning.\nExpected: in two working days.\n",
    ),
    (
        "Library: due in three days",
        "Item {number}, 'A History of Rope', is due back at {place}.\nYou may renew it once.\n",
    ),
    (
        "Backup finished",
        "Job {number}: 14 directories, 0 errors, 1 warning (file changed while it was read).\nHost: {place}\n",
    ),
    (
        "Receipt {number}",
        "Thank you for your visit to {place}.\n\n1 pot of tea      3.20\n1 plum cake       4.10\n-------------------\nTotal             7.30\n",
    ),
    (
        "Water meter reading",
        "Please send us the reading of meter {number} by the end of the month.\n{place} Waterworks\n",
    ),
    (
        "Appointment reminder",
        "Your appointment {number} is tomorrow at 09:40.\n{place} Dental Practice, second floor.\n",
    ),
    ("Table for four", "Reservation {number} at {place} is confirmed: Saturday, 19:30, by the window.\n"),
    (
        "Ticket {number} was closed",
        "The printer on the second floor ({place}) was out of paper.\nIt is not any more.\n",
    ),
)

PLACES = ("Lantern Street", "Mill Lane", "North Pier", "Canal House", "Old Customs House", "Orchard Road")

# What a newsletter can offer: title and text.
ITEMS = (
    (
        "Beans that climb",
        "Sow them when the apple trees are in bloom, two to a hole, one for you and one for the snail.",
    ),
    (
        "An evening of short stories",
        "Five readers, ten minutes each, and a bell. Tea is free, biscuits are not.",
    ),
    (
        "Rye with caraway",
        "It takes two days and asks for nothing but patience. Slices like a brick, tastes like a holiday.",
    ),
    ("From Lisbon to Tallinn", "Nine trains, four nights, one borrowed umbrella. A report in three parts."),
    ("The mechanical bird sings again", "After eleven years of silence, every full hour from ten to five."),
    ("Maps drawn by hand", "A small exhibition on the first floor. The sea monsters are all original."),
    ("How to sharpen a pencil", "A workshop for beginners; advanced pencils on Friday."),
    (
        "Plums, plums, plums",
        "The harvest was large, so the cake is cheap. Only while the trees are generous.",
    ),
)

LETTERS = (
    Letter(
        "iso-8859-1",
        "quoted-printable",
        "Jonas Weiß <jonas.weiss@uhrwerk.example>",
        "Grüße aus der Werkstatt",
        "Lieber Freund,\n\ndie neue Drehbank läuft wie ein Kätzchen. Übrigens: Größe und Gewicht stehen im Anhang,\nund über den Preis müssen wir noch einmal reden. Schöne Grüße an alle!\n\nJonas\n",
    ),
    Letter(
        "windows-1252",
        "8bit",
        "Hélène Moreau <helene.moreau@atelier.example>",
        "L’été à l’atelier – programme",
        "Cher ami,\n\nvoici le programme de l’été : trois cours, deux expositions, et une fête « sans fin ».\nLe tarif est de 45 € par personne, café compris.\n\nÀ bientôt,\nHélène\n",
    ),
    Letter(
        "utf-8",
        "base64",
        "Tomás Ferreira <tomas.ferreira@lantern.example>",
        "Notícias do Porto",
        "Olá!\n\nO relógio da estação já funciona. As pessoas param para olhar, e perdem o comboio por isso.\nManda-me uma fotografia do pássaro mecânico, por favor.\n\nUm abraço,\nTomás\n",
    ),
    Letter(
        "koi8-r",
        "base64",
        "Анна Орлова <anna.orlova@bereg.example>",
        "Часы с кукушкой",
        "Здравствуйте!\n\nКукушка снова поёт, но только по вторникам. Мы не знаем почему.\nПриезжайте посмотреть, чай уже готов.\n\nАнна\n",
    ),
    Letter(
        "iso-2022-jp",
        "7bit",
        "田中健一 <tanaka@karakuri.example>",
        "からくり人形について",
        "こんにちは。\n\n来月の十四日に工房を訪ねたいと思います。\n機械仕掛けの鳥を見せていただけますか。\n\n田中\n",
    ),
    Letter(
        "shift_jis",
        "8bit",
        "鈴木美咲 <suzuki@karakuri.example>",
        "写真をありがとう",
        "写真をありがとうございました。\n霧の中の橋がとてもきれいでした。\n\n鈴木\n",
    ),
    Letter(
        "gb18030",
        "base64",
        "李明 <liming@zhongbiao.example>",
        "关于钟楼的问题",
        "你好，\n\n钟楼的大钟每天快四分钟。请问你们有什么办法吗？\n附近的面包师很着急。\n\n李明\n",
    ),
    Letter(
        "big5",
        "8bit",
        "陳怡君 <chen@teahouse.example>",
        "茶會邀請",
        "您好：\n\n下星期六下午三點有一個小茶會，歡迎參加。\n請自備喜歡的杯子。\n\n怡君\n",
    ),
    Letter(
        "euc-kr",
        "base64",
        "김지우 <jiwoo@sigye.example>",
        "시계 수리 감사합니다",
        "안녕하세요,\n\n할머니의 시계가 다시 갑니다. 정말 감사합니다.\n다음에 서울에 오시면 꼭 연락 주세요.\n\n지우\n",
    ),
    Letter(
        "iso-8859-2",
        "quoted-printable",
        "Zdeněk Čermák <zdenek@hodiny.example>",
        "Příští čtvrtek",
        "Dobrý den,\n\npříští čtvrtek přivezu ty staré hodiny. Jsou těžké, prosím připravte stůl.\nDěkuji!\n\nZdeněk\n",
    ),
    Letter(
        "iso-8859-7",
        "8bit",
        "Ελένη Παππά <eleni@limani.example>",
        "Καλημέρα από το λιμάνι",
        "Καλημέρα!\n\nΤο καράβι άργησε δύο ώρες, αλλά ο καφές ήταν καλός.\nΣας στέλνω τα σχέδια αύριο.\n\nΕλένη\n",
    ),
    Letter(
        "windows-1256",
        "base64",
        "ليلى حداد <leila@saat.example>",
        "موعد الزيارة",
        "مرحبا،\n\nسنصل يوم الاثنين في الساعة العاشرة صباحا.\nهل يمكن أن نرى الساعة القديمة؟\n\nليلى\n",
    ),
    Letter(
        "windows-1255",
        "base64",
        "נועה לוי <noa@shaon.example>",
        "השעון של סבא",
        "שלום,\n\nהשעון של סבא שוב מתקתק. תודה רבה לכולם!\n\nנועה\n",
    ),
    Letter(
        "utf-8",
        "8bit",
        "Ιωάννης & Søren <duo@ferry.example>",
        "Ærø → Ύδρα ⛵ 2 000 km",
        "Kære ven / Αγαπητέ φίλε,\n\nwe sailed with two languages and one map. Ångström, Ödegård, naïve café, žluťoučký kůň – everything arrived. 🎉\n",
    ),
    Letter(
        "windows-1251",
        "quoted-printable",
        "Оксана Бондар <oksana@godynnyk.example>",
        "Годинник на ратуші",
        "Добрий день!\n\nГодинник на ратуші знову показує правильний час. Усе місто прийшло подивитися.\n\nОксана\n",
    ),
    Letter(
        "tis-620",
        "base64",
        "สมชาย ใจดี <somchai@nalika.example>",
        "นาฬิกาเก่า",
        "สวัสดีครับ\n\nนาฬิกาเก่าของคุณยายเดินได้แล้ว ขอบคุณมากครับ\n\nสมชาย\n",
    ),
)
