"""Word tables: facts of English that the grammar stands on. Meaning and use are in `lexicon.py`."""

from __future__ import annotations

COCO_CLASSES: tuple[str, ...] = tuple(
    (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
        "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
        "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
        "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
        "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
        "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
    ).split(",")
)

# Words operators use for a COCO class: "word=class". Only words that mean the same thing, not kinds of it.
SYNONYMS: dict[str, str] = dict(
    pair.split("=")  # type: ignore[misc]
    for pair in (
        "human=person,human being=person,individual=person,somebody=person,someone=person,anybody=person,"
        "anyone=person,people=person,folk=person,folks=person,guy=person,passer-by=person,passerby=person,bike=bicycle,"
        "cycle=bicycle,pushbike=bicycle,push bike=bicycle,automobile=car,auto=car,motorcar=car,motorbike=motorcycle,"
        "motor bike=motorcycle,motor cycle=motorcycle,plane=airplane,aeroplane=airplane,aircraft=airplane,"
        "jet plane=airplane,lorry=truck,"
        "stoplight=traffic light,stop light=traffic light,traffic signal=traffic light,traffic lamp=traffic light,"
        "hydrant=fire hydrant,rucksack=backpack,knapsack=backpack,back pack=backpack,purse=handbag,hand bag=handbag,"
        "necktie=tie,neck tie=tie,brolly=umbrella,luggage case=suitcase,travel case=suitcase,suit case=suitcase,"
        "flying disc=frisbee,ski=skis,snow board=snowboard,skate board=skateboard,surf board=surfboard,"
        "sport ball=sports ball,baseball mitt=baseball glove,tennis racquet=tennis racket,wineglass=wine glass,"
        "hotdog=hot dog,doughnut=donut,sofa=couch,settee=couch,houseplant=potted plant,house plant=potted plant,"
        "pot plant=potted plant,plant pot=potted plant,dinner table=dining table,diningtable=dining table,"
        "lavatory=toilet,loo=toilet,"
        "television=tv,tv monitor=tv,tvmonitor=tv,telly=tv,tv set=tv,television set=tv,tv screen=tv,"
        "notebook computer=laptop,laptop computer=laptop,"
        "computer mouse=mouse,remote control=remote,remote controller=remote,tv remote=remote,computer keyboard=keyboard,"
        "cell=cell phone,cellphone=cell phone,mobile phone=cell phone,mobile=cell phone,smartphone=cell phone,"
        "smart phone=cell phone,phone=cell phone,cellular phone=cell phone,iphone=cell phone,microwave oven=microwave,"
        "fridge=refrigerator,washbasin=sink,wall clock=clock,alarm clock=clock,teddy=teddy bear,hairdryer=hair drier,"
        "hair dryer=hair drier,hairdrier=hair drier,blow dryer=hair drier,tooth brush=toothbrush,pair of scissors=scissors"
    ).split(",")
)

# Other things a camera can see, by theme; each is its own class.
_THINGS = """
people: man woman child boy girl baby kid toddler adult teenager lady gentleman worker pedestrian cyclist driver rider
 passenger player skier surfer skater runner nurse doctor patient soldier firefighter chef waiter farmer student teacher
 crowd customer shopper visitor guest intruder stranger operator technician swimmer dancer musician police_officer
 policeman policewoman construction_worker security_guard old_man old_woman face hand arm leg foot head hair beard eye
 ear nose mouth finger shoulder knee elbow back skeleton actor astronaut pilot sailor victim casualty neighbor neighbour
clothes: hat cap helmet hard_hat jacket coat shirt t-shirt tshirt sweater hoodie dress skirt trousers pants jeans shorts
 sock shoe boot sneaker sandal slipper glove scarf belt vest safety_vest life_jacket life_vest uniform suit mask
 face_mask goggles sunglasses glasses apron raincoat badge lanyard bracelet necklace ring earring watch wristwatch
 headphones headset earphones earbuds bow_tie button zipper pocket hood high-visibility_vest
bags: bag box cardboard_box carton crate basket bin barrel bucket can jar jug container shipping_container package
 parcel pallet envelope wallet briefcase duffel_bag shopping_bag plastic_bag paper_bag sack tote tray drawer chest
 trunk luggage trash_can garbage_can dustbin wastebasket recycling_bin trash garbage rubbish litter case tub pouch
vehicles: vehicle van suv taxi cab ambulance fire_truck fire_engine police_car tractor trailer scooter moped tram
 streetcar locomotive wagon carriage cart shopping_cart trolley stroller wheelchair forklift pallet_jack excavator
 bulldozer crane ship sailboat canoe kayak ferry yacht submarine helicopter drone quadcopter glider rocket
 hot_air_balloon jeep pickup pickup_truck minivan limousine sedan convertible golf_cart tricycle unicycle segway rickshaw
 snowmobile jet_ski tank wheel tire tyre windshield headlight license_plate number_plate bumper car_door wing propeller
 engine sail anchor steering_wheel seat saddle pedal handlebar
street: road street lane sidewalk pavement crosswalk zebra_crossing curb traffic_cone cone bollard barrier guardrail
 fence gate sign road_sign street_sign traffic_sign speed_limit_sign billboard banner flag lamp_post lamppost
 street_light streetlight pole pillar post mailbox letterbox bus_stop parking_lot intersection bridge tunnel railway track rail
 manhole pothole puddle phone_booth telephone_box statue monument fountain sculpture scaffold scaffolding power_line
 wire cable antenna chimney roof tower building house skyscraper church castle barn shed hut tent garage warehouse
 factory shop store window door doorway wall brick stair staircase stairs step ladder balcony porch awning lighthouse
 windmill turbine solar_panel dock pier fire_escape playground swing slide obstacle crack driveway parking_space
furniture: table desk coffee_table side_table nightstand bedside_table stool bar_stool armchair rocking_chair
 office_chair recliner ottoman bookshelf bookcase shelf cabinet cupboard wardrobe closet dresser counter countertop
 workbench rack mattress pillow cushion blanket duvet sheet bedsheet towel curtain blind carpet rug mat doormat lamp
 floor_lamp desk_lamp table_lamp chandelier light light_bulb candle lantern mirror picture_frame painting poster photo
 photograph drawing map calendar whiteboard blackboard bulletin_board fireplace radiator heater fan ceiling_fan
 air_conditioner vent ceiling floor crib cradle high_chair hammock coat_rack hanger furniture bean_bag trash_bin
kitchen: mug glass beer_glass teacup coffee_cup paper_cup plate dish saucer pan frying_pan pot saucepan wok kettle
 teapot coffee_pot coffee_maker coffee_machine blender mixer juicer stove cooker hob freezer dishwasher faucet tap
 chopstick ladle spatula whisk peeler grater can_opener bottle_opener corkscrew cutting_board chopping_board
 rolling_pin colander sieve measuring_cup napkin tablecloth placemat straw lid thermos flask pitcher salt_shaker
 pepper_mill pepper_shaker egg_carton cutlery utensil tableware wine_bottle beer_bottle water_bottle beer_can soda_can tin
 range_hood kitchen_knife teaspoon tablespoon toaster_oven rice_cooker stockpot
food: food fruit vegetable pear peach plum cherry grape strawberry raspberry blueberry lemon lime grapefruit melon
 watermelon pineapple mango kiwi coconut avocado tomato potato onion garlic cucumber pepper bell_pepper chili lettuce
 cabbage cauliflower spinach pea bean corn mushroom pumpkin eggplant zucchini celery bread loaf baguette bagel
 croissant bun roll toast pancake waffle muffin cupcake cookie biscuit pie tart pastry pudding ice_cream chocolate
 candy lollipop cheese butter egg milk yogurt meat steak sausage bacon ham chicken turkey fish shrimp crab lobster
 burger hamburger taco burrito sushi noodle pasta spaghetti rice soup salad french_fries fries popcorn chips cereal nut
 peanut almond honey jam ketchup mustard sauce coffee tea juice water wine beer soda cola snack meal dessert
animals: animal pet kitten puppy lion tiger leopard cheetah wolf fox rabbit hare squirrel rat hamster guinea_pig
 hedgehog raccoon skunk badger beaver otter deer moose elk reindeer antelope bison buffalo ox bull calf goat lamb pig
 piglet donkey mule pony foal camel llama alpaca kangaroo koala panda polar_bear monkey gorilla chimpanzee ape
 hippo hippopotamus rhino rhinoceros crocodile alligator snake lizard frog toad turtle tortoise duck duckling goose
 swan hen rooster chick pigeon crow raven sparrow seagull gull eagle hawk owl parrot penguin ostrich flamingo peacock
 stork heron shark whale dolphin seal jellyfish octopus squid starfish goldfish salmon bee wasp fly mosquito butterfly
 moth ant spider beetle ladybug dragonfly grasshopper worm snail slug insect bug nest feather beak tail paw antler cattle
 livestock poultry puffin bat ram
tools: tool hammer screwdriver wrench spanner pliers saw drill power_drill axe chisel file clamp vise toolbox nail
 screw bolt gear spring pipe hose valve rope chain hook tape duct_tape tape_measure measuring_tape ruler level shovel
 spade rake broom mop brush paintbrush paint_can paint_roller sponge squeegee vacuum vacuum_cleaner wheelbarrow lawn_mower lawnmower
 hedge_trimmer sprinkler watering_can flower_pot planter fire_extinguisher first_aid_kit alarm smoke_detector switch
 light_switch socket power_socket outlet power_outlet plug extension_cord battery charger generator motor pump
 solenoid actuator gripper robot robot_arm manipulator conveyor conveyor_belt machine lathe printer 3d_printer
 multimeter soldering_iron tweezers knob handle doorknob door_handle lever hinge lock padlock key keychain magnet gauge
 meter thermometer bearing bracket panel control_panel emergency_stop_button apriltag qr_code barcode marker label sticker tag
 fuse circuit_board pcb chip resistor led tripod gas_cylinder oil_drum drum hard_drive nut crowbar
electronics: computer pc desktop_computer monitor screen display tablet ipad telephone smartwatch camera webcam
 security_camera surveillance_camera video_camera camcorder projector speaker loudspeaker microphone radio stereo
 record_player game_controller joystick game_console router server usb_stick hard_disk cd dvd calculator scanner
 photocopier fax_machine walkie-talkie flashlight torch device gadget appliance washing_machine washer dryer
 clothes_dryer iron ironing_board sewing_machine atm vending_machine elevator escalator cash_register power_strip
office: pen pencil crayon eraser notebook notepad paper sheet_of_paper document folder binder stapler
 paper_clip paperclip staple glue scotch_tape magazine newspaper letter postcard stamp card business_card credit_card
 clipboard sticky_note post-it id_card passport ticket money coin banknote bill receipt globe trophy medal dictionary
 menu leaflet
bathroom: bathtub bath shower shower_head shower_curtain toilet_paper toilet_seat soap soap_dispenser shampoo
 toothpaste comb hairbrush razor lipstick perfume lotion tissue_box tissue paper_towel hand_towel urinal bidet
 laundry_basket scale medicine pill pill_bottle syringe bandage crutch stethoscope stretcher hospital_bed walker cane
 walking_stick
play: toy doll puppet stuffed_animal stuffed_toy lego block building_block puzzle dice chess_board chess_piece
 board_game playing_card balloon ball football soccer_ball basketball volleyball tennis_ball baseball golf_ball
 rugby_ball beach_ball bowling_ball bowling_pin golf_club hockey_stick puck goal goalpost net hoop basketball_hoop
 racket badminton_racket shuttlecock ping_pong_paddle paddle oar dumbbell barbell treadmill yoga_mat jump_rope boxing_glove
 roller_skate ice_skate ski_pole sled sleigh snowman snowball fishing_rod bow arrow target gun rifle pistol
 sword shield whistle guitar violin cello piano trumpet saxophone flute harp accordion harmonica banjo
 pool_table fireworks trampoline weight figurine
nature: tree bush shrub hedge plant flower rose tulip sunflower daisy leaf branch trunk log stump grass lawn field
 moss vine cactus palm palm_tree pine_tree christmas_tree forest mountain hill cliff rock stone boulder pebble sand
 beach desert river lake pond stream sea ocean wave waterfall snow ice cloud sky sun moon star rainbow smoke fire flame
 soil mud dirt dust ground shadow path trail island cave garden bouquet wreath seed acorn pinecone shell seashell
 terrain lightning weed stick twig crop orchard fence_post stain spill leak rust hole dent scratch
""".strip()

OTHER_NOUNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        word.replace("_", " ")
        for line in _THINGS.replace("\n ", " ").splitlines()
        for word in line.split(":", 1)[1].split()
    )
)

# Plural = singular, where rules fail. A word that is its own plural stands alone in UNCHANGED.
IRREGULAR_PLURALS: dict[str, str] = dict(
    pair.split("=")  # type: ignore[misc]
    for pair in (
        "people=person,persons=person,men=man,women=woman,children=child,feet=foot,teeth=tooth,geese=goose,mice=mouse,"
        "knives=knife,forks=fork,wives=wife,leaves=leaf,loaves=loaf,shelves=shelf,bookshelves=bookshelf,calves=calf,"
        "wolves=wolf,halves=half,scarves=scarf,hooves=hoof,oxen=ox,dice=dice,cacti=cactus,octopi=octopus,policemen=policeman,"
        "policewomen=policewoman,gentlemen=gentleman,snowmen=snowman,buses=bus,busses=bus,potatoes=potato,"
        "tomatoes=tomato,mangoes=mango,passers-by=passer-by,wineglasses=wineglass,gases=gas,tyres=tyre,axes=axe,"
        "buffaloes=buffalo,mosquitoes=mosquito,thieves=thief,lenses=lens,hippopotami=hippopotamus,irises=iris,"
        "canoes=canoe,shoes=shoe,horseshoes=horseshoe,toes=toe,cookies=cookie,pies=pie,ties=tie,movies=movie,"
        "selfies=selfie,hoodies=hoodie,brownies=brownie,eyes=eye,axles=axle,cellos=cello,pianos=piano,radios=radio,"
        "photos=photo,videos=video,stereos=stereo,burritos=burrito,tacos=taco,kangaroos=kangaroo,rhinos=rhino,"
        "hippos=hippo,avocados=avocado,menus=menu,caches=cache,moustaches=moustache,headaches=headache,"
        "doggies=dog,kitties=cat,birdies=bird,veggies=vegetable,undies=underwear"
    ).split(",")
)
UNCHANGED: frozenset[str] = frozenset(
    """sheep fish deer moose bison cattle scissors skis trousers pants jeans shorts glasses sunglasses goggles pliers tweezers
    headphones earphones earbuds stairs livestock poultry luggage furniture food grass broccoli spaghetti rice cutlery series species
    fries chips water sand snow ice aircraft binoculars fireworks traffic bus gas lens glass grass dress mattress cactus
    octopus compass atlas iris canvas christmas moss cross boss process hippopotamus rhinoceros platypus
    walrus tableware shrimp salmon squid lego clothes tights french_fries swiss mess fitness circus virus walrus tennis
    dais asparagus couscous molasses hibiscus uterus campus bias axis basis chess surplus wireless stainless red-eyes""".split()
)

# Things nobody can see: refused as classes.
NOT_OBJECTS: frozenset[str] = frozenset(
    """happiness sadness love hate hatred anger joy fear hope peace justice freedom truth lie idea thought opinion
    knowledge wisdom democracy politics law religion god soul spirit mind memory dream time hour minute second day week
    month year today tomorrow yesterday morning evening night past future history gravity energy force power speed
    velocity mass temperature weather climate music song sound noise silence smell taste pain pleasure beauty
    intelligence consciousness courage luck fate chance reason meaning purpose life death birth health sickness
    economy price cost value profit tax salary job career success failure problem solution answer question
    information data software program code password secret name word sentence language grammar number mathematics
    science philosophy art literature friendship marriage family relationship trust honor loyalty patience kindness
    curiosity imagination inspiration motivation confidence wealth poverty equality liberty opportunity infinity
    nothing nobody nowhere emptiness loneliness boredom excitement surprise mood feeling emotion sense humor humour
    style culture tradition society government bug-report error exception bitcoin internet website email instruction
    instructions prompt rule rules system file files database wifi bluetooth request command north south east west
    direction distance reality existence honesty elegance anxiety depression mercy revenge faith belief doubt
    difference similarity quality quantity possibility necessity ability talent skill experience advice
    homework research evidence progress permission attention capitalism socialism communism evolution
    tomorrow's yesterday's prime joke poem story novel lesson""".split()
)

# Too vague to be looked for alone ("the thing"), fine with a clause that says which ("the thing you can sit on").
VAGUE: frozenset[str] = frozenset(
    """thing things something anything stuff object objects item items entity entities target targets whatever everything
    one ones part parts area areas region spot piece pieces other others rest bit bits kind sort type surface material place
    it them that this those these him her he she they me you us myself yourself itself here there what who which""".split()
)

COLOURS = """red orange yellow green blue purple violet pink brown black white grey gray golden gold silver beige turquoise
 cyan magenta maroon navy tan cream crimson teal lime olive colourful colorful coloured colored pale dark bright light""".split()
ADJECTIVES: frozenset[str] = frozenset(
    COLOURS
    + """big small large little tiny huge tall short long wide narrow thin thick fat slim giant enormous medium mini
    bigger smaller larger taller shorter biggest smallest largest tallest shortest longest widest nearest closest
    farthest furthest highest lowest brightest darkest oldest youngest newest left right upper lower top bottom middle
    central center centre front rear back leftmost rightmost topmost bottommost uppermost lowermost left-hand right-hand inner outer
    first second third fourth fifth last next previous other same wooden metal metallic plastic glass leather rubber
    concrete stone paper cardboard ceramic fabric woollen cotton steel iron brass copper transparent shiny
    round square rectangular triangular circular oval flat curved straight sharp blunt hollow soft hard fluffy furry
    striped spotted dotted checkered plaid patterned open closed empty full broken damaged cracked clean dirty wet
    dry new old young ancient modern antique rusty hot cold warm frozen ripe rotten fresh sliced cooked raw parked moving stationary
    standing sitting walking running sleeping lying flying swimming jumping smiling crying riding folded
    overturned upright tilted abandoned lonely single double pretty beautiful ugly cute nice cool heavy
    lit unlit sleeping hidden visible occluded distant nearby foreground background male female elderly bald bearded
    blond blonde brunette pregnant tattooed masked armed injured whole half missing blurry unattended loose
    spare electric portable mobile digital analog wall-mounted potted stuffed toy fake real wild domestic
    baby adult""".split()
)
